-- One row per study found, with what an evaluation asks: what the model said of it, raw and calibrated, what the report says, and
-- the facts that results are broken down by. $model_digest: scores of this model; null: the newest answer of each series.
WITH wanted AS (
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
    decided.series_revision,
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
-- archives may hold a study in two states: the one that counts stands for it
JOIN best_outcome AS decided ON decided.study_key = audited.study_key
LEFT JOIN wanted
    ON wanted.study_key = decided.study_key
    AND wanted.series_key = decided.series_key
    AND wanted.series_revision = decided.series_revision
LEFT JOIN series ON series.series_key = decided.series_key AND series.series_revision = decided.series_revision
ORDER BY audited.study_key
