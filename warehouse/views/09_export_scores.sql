-- Grain: one row per study found, whatever number of archives hold it (the best outcome counts). wanted_model: a
-- model_digest (not a model_id, which several weights may share), or null for the newest answer of each series. Under a
-- named model a study that this model has not scored is pending; one whose score by it does not count is not evaluable,
-- whatever another model says. What has no score has no probability and no flag: never a negative.
-- remarks: what was noticed on the series and its slab, such as slices that are missing at an end; they change no outcome.
-- report_statement is null without a report that counts, and for a report without text: nothing was read.

CREATE OR REPLACE MACRO export_scores(wanted_model) AS TABLE
WITH wanted AS (
    SELECT * FROM flagged
    WHERE (wanted_model IS NULL AND is_newest) OR model_digest = wanted_model
),
decided AS (
    SELECT
        *,
        -- by a score that does not count
        coalesce(reason IN ('not_evaluable:domain', 'not_evaluable:vertebrae'), false) AS is_refused
    FROM best_outcome
),
answered AS (
    SELECT
        decided.*,
        wanted.model_id,
        wanted.model_digest AS score_digest,
        wanted.probability,
        wanted.is_flagged,
        wanted.n_slices,
        wanted.domain_distance,
        -- not evaluable by the newest model, and this one has not looked
        decided.is_refused AND wanted.series_key IS NULL AND wanted_model IS NOT NULL AS is_of_another,
        coalesce(wanted.is_evaluable, false) AS is_scored,
        wanted.refusal
    FROM decided
    LEFT JOIN wanted
        ON wanted.series_key = decided.series_key
        AND wanted.series_revision = decided.series_revision
        AND (
            decided.outcome = 'scored'
            OR decided.is_refused
            OR (decided.outcome IN ('failed', 'pending') AND wanted_model IS NOT NULL)
        )
)
SELECT
    answered.study_key,
    study.patient_key,
    study.site,
    study.study_date,
    study.age_years,
    study.sex,
    series.manufacturer,
    series.model_name,
    study.n_series,
    CASE
        WHEN answered.is_scored THEN 'scored'
        WHEN answered.refusal IS NOT NULL THEN 'excluded'
        WHEN answered.outcome = 'scored' OR answered.is_of_another THEN 'pending'
        ELSE answered.outcome
    END AS outcome,
    CASE
        WHEN answered.is_scored OR answered.is_of_another THEN NULL
        WHEN answered.refusal IS NOT NULL THEN answered.refusal
        ELSE answered.reason
    END AS reason,
    CASE
        WHEN answered.is_scored THEN NULL
        WHEN answered.refusal IS NOT NULL THEN 'the scan cannot be judged'
        WHEN answered.outcome = 'scored' OR answered.is_of_another THEN 'not scored by this model yet'
        ELSE answered.message
    END AS message,
    answered.series_key,
    answered.model_id,
    answered.score_digest AS model_digest,
    answered.probability,
    answered.is_flagged AS flagged,
    answered.n_slices,
    answered.domain_distance,
    nullif(array_to_string(answered.flags, '; '), '') AS remarks,
    nullif(reported.statement, 'unread') AS report_statement
FROM answered
JOIN study ON study.archive_key = answered.archive_key AND study.study_key = answered.study_key
LEFT JOIN series
    ON series.series_key = answered.series_key AND series.series_revision = answered.series_revision
LEFT JOIN current_statement AS reported ON reported.study_key = answered.study_key;
