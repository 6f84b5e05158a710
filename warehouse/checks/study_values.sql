-- Studies with an impossible age, an unknown sex, or negative counts.
SELECT archive_key, study_key, age_years, sex, n_series, n_files
FROM study
WHERE age_years NOT BETWEEN 0 AND 130 OR sex NOT IN ('F', 'M', 'O') OR n_series < 0 OR n_files < 1
