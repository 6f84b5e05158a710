-- One row per study found, with what an evaluation asks: what the model said of it, raw and calibrated, what the report says, and
-- the facts that results are broken down by. $model_digest: scores of this model; null: the newest answer of each series.
WITH revisions AS (
    SELECT study_key, series_key, max(series_revision) AS series_revision
    FROM series_outcome
    GROUP BY study_key, series_key
),
wanted AS (
    SELECT flagged.*, score.slice_logits, score.slice_index
    FROM flagged
    JOIN score USING (series_key, series_revision, storage_recipe, view_recipe, model_digest)
    WHERE ($model_digest::VARCHAR IS NULL AND flagged.is_newest) OR flagged.model_digest = $model_digest::VARCHAR
)
SELECT
    audited.study_key,
    audited.person_key,
    audited.study_date,
    audited.age_years,
    audited.sex,
    audited.age,
    audited.coverage,
    audited.scanner,
    audited.outcome,
    audited.reason,
    audited.is_eligible,
    audited.statement,
    audited.series_key,
    coalesce(wanted.series_revision, revisions.series_revision) AS series_revision,
    series.manufacturer,
    series.convolution_kernel,
    series.slice_thickness_mm,
    series.has_contrast,
    wanted.logit,
    wanted.probability,
    wanted.is_flagged,
    wanted.slice_logits,
    wanted.slice_index,
    wanted.view_recipe,
    wanted.domain_distance,
    wanted.domain_limit
FROM audit_studies($model_digest::VARCHAR) AS audited
LEFT JOIN wanted
    ON wanted.study_key = audited.study_key
    AND wanted.series_key = audited.series_key
LEFT JOIN revisions ON revisions.study_key = audited.study_key AND revisions.series_key = audited.series_key
LEFT JOIN series
    ON series.series_key = audited.series_key
    AND series.series_revision = coalesce(wanted.series_revision, revisions.series_revision)
ORDER BY audited.study_key
