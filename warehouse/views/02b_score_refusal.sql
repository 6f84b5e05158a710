-- Grain: one row per score that does not count, with the reason: fewer than two whole vertebrae are heard, or the scan
-- lies beyond the domain limit of its model.

CREATE VIEW score_refusal AS
SELECT
    score.series_key,
    score.series_revision,
    score.storage_recipe,
    score.view_recipe,
    score.model_digest,
    CASE WHEN score.n_vertebrae < 2 THEN 'not_evaluable:vertebrae' ELSE 'not_evaluable:domain' END AS reason
FROM score
LEFT JOIN score_domain USING (series_key, series_revision, storage_recipe, view_recipe, model_digest)
WHERE score.n_vertebrae < 2 OR score_domain.is_beyond;
COMMENT ON VIEW score_refusal IS 'Scores that do not count, and why the scan is not evaluable.';
