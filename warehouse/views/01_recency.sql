-- Which decision is newer: the newest run that made it says so. Clocks may jump (T50); ties fall to the digests, so
-- the order is always total.

CREATE VIEW profile_recency AS
WITH used AS (SELECT DISTINCT profile_digest, reader_version FROM selection),
newest AS (
    SELECT profile_digest, reader_version, max(started_at) AS started_at
    FROM run GROUP BY profile_digest, reader_version
)
SELECT
    profile_digest,
    reader_version,
    row_number() OVER (ORDER BY started_at NULLS FIRST, profile_digest, reader_version) AS recency
FROM used LEFT JOIN newest USING (profile_digest, reader_version);
COMMENT ON VIEW profile_recency IS 'Selection profiles and readers in the order of the newest run that used them; the highest recency is the newest.';

CREATE VIEW recipe_recency AS
WITH used AS (
    SELECT storage_recipe, view_recipe, model_digest FROM score
    UNION
    SELECT storage_recipe, view_recipe, model_digest FROM rejection
),
newest AS (
    SELECT storage_recipe, view_recipe, model_digest, max(started_at) AS started_at
    FROM run GROUP BY storage_recipe, view_recipe, model_digest
)
SELECT
    storage_recipe,
    view_recipe,
    model_digest,
    row_number() OVER (ORDER BY started_at NULLS FIRST, storage_recipe, view_recipe, model_digest) AS recency
FROM used LEFT JOIN newest USING (storage_recipe, view_recipe, model_digest);
COMMENT ON VIEW recipe_recency IS 'Recipes and models in the order of the newest run that used them; the highest recency is the newest.';
