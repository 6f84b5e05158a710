-- Grain: one row per archive, study and current series. Where each series ends.
--
-- An eligible series is scored or rejected by whichever is newer: its score, or a rejection under the profile and
-- reader that now count. A score that does not count (score_refusal) is kept, but the series is not evaluable (excluded),
-- and series behind it in rank are not tried: they show the same body. Nothing yet: not chosen when a series before it in rank is scored, else pending; it waits
-- (is_waiting) when one before it failed for reasons of infrastructure, since the next run tries that one again.

CREATE VIEW series_outcome AS
WITH decided AS MATERIALIZED (
    SELECT
        archive_key, study_key, study_revision, series_key, series_revision, profile_digest, reader_version,
        outcome, reason, message, rank, n_checks_passed, n_instances, n_files
    FROM current_series
),
eligible AS (SELECT * FROM decided WHERE outcome = 'eligible'),
answers AS (
    SELECT
        eligible.archive_key, eligible.study_key, eligible.series_key, eligible.rank,
        CASE WHEN refusal.reason IS NOT NULL THEN 'excluded' ELSE 'scored' END AS outcome,
        refusal.reason,
        CASE WHEN refusal.reason IS NOT NULL THEN 'the scan cannot be judged' END AS message,
        true AS has_score,
        score.storage_recipe, score.view_recipe, score.model_digest
    FROM eligible
    JOIN score USING (series_key, series_revision)
    LEFT JOIN score_refusal AS refusal
        USING (series_key, series_revision, storage_recipe, view_recipe, model_digest)
    UNION ALL
    SELECT
        eligible.archive_key, eligible.study_key, eligible.series_key, eligible.rank,
        rejection.outcome, rejection.reason, rejection.message,
        false AS has_score,
        rejection.storage_recipe, rejection.view_recipe, rejection.model_digest
    FROM eligible JOIN rejection USING (series_key, series_revision, profile_digest, reader_version)
),
answer AS MATERIALIZED (
    SELECT answers.*
    FROM answers JOIN recipe_recency USING (storage_recipe, view_recipe, model_digest)
    QUALIFY row_number() OVER (
        PARTITION BY archive_key, study_key, series_key
        ORDER BY recency DESC, has_score DESC
    ) = 1
),
study_so_far AS (
    SELECT
        archive_key, study_key,
        min(rank) FILTER (has_score) AS scored_rank,
        min(rank) FILTER (outcome = 'failed') AS failed_rank
    FROM answer
    GROUP BY archive_key, study_key
),
joined AS (
    SELECT
        series.*,
        answer.outcome AS answer_outcome, answer.reason AS answer_reason, answer.message AS answer_message,
        answer.storage_recipe, answer.view_recipe, answer.model_digest,
        series.outcome = 'eligible' AND answer.outcome IS NULL AS is_open,
        coalesce(study_so_far.scored_rank < series.rank, false) AS is_behind_scored,
        coalesce(study_so_far.failed_rank < series.rank, false) AS is_behind_failed
    FROM decided AS series
    LEFT JOIN answer USING (archive_key, study_key, series_key)
    LEFT JOIN study_so_far USING (archive_key, study_key)
)
SELECT
    archive_key,
    study_key,
    study_revision,
    series_key,
    series_revision,
    CASE
        WHEN outcome <> 'eligible' THEN outcome
        WHEN NOT is_open THEN answer_outcome
        WHEN is_behind_scored THEN 'excluded'
        ELSE 'pending'
    END AS outcome,
    CASE
        WHEN outcome <> 'eligible' THEN reason
        WHEN NOT is_open THEN answer_reason
        WHEN is_behind_scored THEN 'not_chosen'
    END AS reason,
    CASE
        WHEN outcome <> 'eligible' THEN message
        WHEN NOT is_open THEN answer_message
        WHEN is_behind_scored THEN 'another series of the study was scored'
    END AS message,
    is_open AND NOT is_behind_scored AND is_behind_failed AS is_waiting,
    rank,
    n_checks_passed,
    n_instances,
    n_files,
    storage_recipe,
    view_recipe,
    model_digest
FROM joined;
COMMENT ON VIEW series_outcome IS 'Where each current series ends: one row per archive, study and series, with outcome, reason and message.';
