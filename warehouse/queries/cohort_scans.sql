-- One row per study found, with what a cohort for training asks: who, where the study ended, the slab of the series that was
-- scored, the remarks on it, and what the report that counts states. flags: of selection and slab together.
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
    study.study_key,
    study.patient_key,
    study.study_date,
    study.age_years,
    study.sex,
    decided.outcome,
    decided.reason,
    decided.series_key,
    decided.series_revision,
    coalesce(slab.is_kept, false) AS has_slab,
    list_sort(list_distinct(list_concat(coalesce(chosen.flags, []), coalesce(slab.flags, [])))) AS flags,
    stated.statement,
    stated.wording,
    stated.cause,
    stated.treatment
FROM one_archive AS decided
JOIN study ON study.archive_key = decided.archive_key AND study.study_key = decided.study_key
LEFT JOIN current_series AS chosen
    ON chosen.archive_key = decided.archive_key
    AND chosen.study_key = decided.study_key
    AND chosen.series_key = decided.series_key
LEFT JOIN slab
    ON slab.series_key = decided.series_key
    AND slab.series_revision = decided.series_revision
    AND slab.storage_recipe = decided.storage_recipe
LEFT JOIN current_statement AS stated ON stated.study_key = decided.study_key
ORDER BY study.study_key
