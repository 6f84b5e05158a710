-- One row per study found, with what a cohort for training asks: who, where the study ended, the slab of the series that was
-- scored, the remarks on it, and what the report that counts states. flags: of selection and slab together.
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
    decided.has_slab,
    decided.flags,
    stated.statement,
    stated.wording,
    stated.cause,
    stated.treatment
FROM best_outcome AS decided
JOIN study ON study.archive_key = decided.archive_key AND study.study_key = decided.study_key
LEFT JOIN current_statement AS stated ON stated.study_key = decided.study_key
ORDER BY study.study_key
