-- One row per decided study of an archive: those of one night (and of runs since the night before that were killed: no page has
-- shown them), and those before it that the baseline is made of (the first $n_baseline that runs from $baseline_from on decided,
-- in a fixed order that does not depend on what was found).
-- $archive_key, $run_id, $model_digest (whose scores count), $baseline_from, $n_baseline.
-- domain_distance: also of scores that lie beyond the domain of the model, and so are not evaluable; null without a yardstick.
-- scanner and kernel are those of the series that was scored or came closest. is_superseding: the study had a score before.
WITH last_night AS (
    SELECT max(run.started_at) AS started_at
    FROM night JOIN run USING (run_id)
    WHERE night.archive_key = $archive_key AND night.run_id <> $run_id
),
ours AS (
    SELECT run_id FROM run
    WHERE run_id = $run_id
        OR (
            archive_key = $archive_key
            AND state <> 'finished'
            AND started_at > (SELECT coalesce(started_at, '-infinity'::TIMESTAMP) FROM last_night)
        )
),
decided AS (
    SELECT
        study.study_key,
        study.patient_key,
        study.run_id IN (FROM ours) AS is_tonight,
        run.started_at,
        outcome.outcome,
        split_part(outcome.reason, ':', 1) AS reason,
        outcome.series_key,
        outcome.series_revision
    FROM study_outcome AS outcome
    JOIN study ON study.archive_key = outcome.archive_key AND study.study_key = outcome.study_key
    JOIN run ON run.run_id = study.run_id
    WHERE outcome.archive_key = $archive_key AND outcome.outcome <> 'pending'
),
wanted AS (
    SELECT * FROM decided
    WHERE is_tonight OR started_at >= $baseline_from
    QUALIFY is_tonight OR row_number() OVER (
        PARTITION BY is_tonight ORDER BY started_at, study_key
    ) <= $n_baseline
)
SELECT
    wanted.study_key,
    wanted.patient_key,
    wanted.is_tonight,
    wanted.outcome,
    wanted.reason,
    coalesce(nullif(concat_ws(' ', series.manufacturer, series.model_name), ''), 'unknown') AS scanner,
    coalesce(series.convolution_kernel, 'unknown') AS kernel,
    CASE WHEN wanted.outcome = 'scored' THEN flagged.logit END AS logit,
    flagged.probability,
    flagged.is_flagged,
    CASE WHEN wanted.outcome = 'scored' THEN flagged.series_key END AS series_key,
    coalesce(score.run_id IN (FROM ours) AND wanted.outcome = 'scored', false) AS is_scored_tonight,
    wanted.is_tonight AND EXISTS (
        SELECT 1
        FROM score AS old
        JOIN series AS old_series USING (series_key, series_revision)
        WHERE old_series.study_key = wanted.study_key
            AND old.model_digest = $model_digest
            AND old.run_id NOT IN (FROM ours)
            AND (old.series_key, old.series_revision) IS DISTINCT FROM (wanted.series_key, wanted.series_revision)
    ) AS is_superseding,
    flagged.domain_distance
FROM wanted
LEFT JOIN series ON series.series_key = wanted.series_key AND series.series_revision = wanted.series_revision
LEFT JOIN flagged
    ON flagged.series_key = wanted.series_key
    AND flagged.series_revision = wanted.series_revision
    AND flagged.model_digest = $model_digest
LEFT JOIN score
    ON score.series_key = flagged.series_key
    AND score.series_revision = flagged.series_revision
    AND score.storage_recipe = flagged.storage_recipe
    AND score.view_recipe = flagged.view_recipe
    AND score.model_digest = flagged.model_digest
ORDER BY wanted.is_tonight, wanted.started_at, wanted.study_key
