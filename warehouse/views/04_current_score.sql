-- Grain: one row per eligible series that is current in any archive, and model. is_newest marks one row per series: the answer
-- of the newest model. Filter by model_digest to look at one of several models: they may share one model_id.

CREATE VIEW current_score AS
WITH current_revision AS (
    SELECT DISTINCT study_key, series_key, series_revision FROM series_outcome WHERE rank IS NOT NULL
),
ranked AS (
    SELECT
        study_key,
        series_key,
        series_revision,
        storage_recipe,
        view_recipe,
        model_digest,
        recency,
        max(recency) OVER (PARTITION BY series_key, series_revision, model_digest) AS newest_of_model,
        max(recency) OVER (PARTITION BY series_key, series_revision) AS newest
    FROM score
    JOIN current_revision USING (series_key, series_revision)
    JOIN recipe_recency USING (storage_recipe, view_recipe, model_digest)
)
SELECT
    ranked.study_key,
    score.*,
    model.model_id,
    ranked.recency,
    ranked.recency = ranked.newest AS is_newest
FROM ranked
JOIN score USING (series_key, series_revision, storage_recipe, view_recipe, model_digest)
LEFT JOIN model USING (model_digest)
WHERE ranked.recency = ranked.newest_of_model;
COMMENT ON VIEW current_score IS 'Scores of current eligible series: one row per series and model, by its newest recipes; is_newest marks the newest model''s.';
