-- Studies of the relation index_study (study_key, study_revision) that still need work under one decision key: new or
-- changed ones, those whose selection failed or is pending, and those whose first eligible series that is not finally
-- rejected has no score. Parameters: $archive_key and the five digests of the decision.
WITH chosen AS (
    SELECT study_key, study_revision, series_key, series_revision, outcome, rank
    FROM selection
    WHERE profile_digest = $profile_digest AND reader_version = $reader_version
        AND study_key IN (SELECT study_key FROM index_study)
),
scored AS (
    SELECT series_key, series_revision
    FROM score
    WHERE storage_recipe = $storage_recipe AND view_recipe = $view_recipe AND model_digest = $model_digest
),
rejected AS (
    SELECT series_key, series_revision
    FROM rejection
    WHERE profile_digest = $profile_digest AND reader_version = $reader_version
        AND storage_recipe = $storage_recipe AND view_recipe = $view_recipe AND model_digest = $model_digest
        AND outcome <> 'failed'
),
candidate AS (
    SELECT chosen.study_key, chosen.study_revision, chosen.rank, scored.series_key IS NOT NULL AS is_scored
    FROM chosen
    LEFT JOIN scored USING (series_key, series_revision)
    LEFT JOIN rejected USING (series_key, series_revision)
    WHERE chosen.outcome = 'eligible' AND (scored.series_key IS NOT NULL OR rejected.series_key IS NULL)
),
next_one AS (
    SELECT study_key, study_revision, arg_min(is_scored, rank) AS is_scored
    FROM candidate GROUP BY study_key, study_revision
),
decided AS (
    SELECT study_key, study_revision
    FROM chosen
    LEFT JOIN next_one USING (study_key, study_revision)
    GROUP BY study_key, study_revision
    HAVING NOT bool_or(outcome IN ('failed', 'pending')) AND bool_and(coalesce(next_one.is_scored, true))
)
SELECT index_study.study_key
FROM index_study
LEFT JOIN decided
    ON decided.study_key = index_study.study_key AND decided.study_revision = index_study.study_revision
LEFT JOIN study
    ON study.archive_key = $archive_key
    AND study.study_key = index_study.study_key
    AND study.study_revision = index_study.study_revision
WHERE decided.study_key IS NULL OR study.study_key IS NULL
