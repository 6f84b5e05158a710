-- Grain: one row per study found, whatever number of archives hold it: the best outcome counts. flags: what was noticed on the
-- series that was scored and on its slab, such as slices that are missing at an end; they change no outcome.

CREATE VIEW best_outcome AS
WITH one_archive AS (
    SELECT *
    FROM study_outcome
    QUALIFY row_number() OVER (
        PARTITION BY study_key
        ORDER BY
            list_position(['scored', 'pending', 'failed', 'quarantined', 'excluded'], outcome),
            archive_key
    ) = 1
)
SELECT
    decided.*,
    coalesce(slab.is_kept, false) AS has_slab,
    list_sort(list_distinct(list_concat(coalesce(chosen.flags, []), coalesce(slab.flags, [])))) AS flags
FROM one_archive AS decided
LEFT JOIN current_series AS chosen
    ON chosen.archive_key = decided.archive_key
    AND chosen.study_key = decided.study_key
    AND chosen.series_key = decided.series_key
LEFT JOIN slab
    ON slab.series_key = decided.series_key
    AND slab.series_revision = decided.series_revision
    AND slab.storage_recipe = decided.storage_recipe;
COMMENT ON VIEW best_outcome IS 'Where a study ended, once per study whatever number of archives hold it, with the remarks on its series and slab.';
