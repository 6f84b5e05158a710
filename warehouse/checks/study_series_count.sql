-- Studies whose number of series is not the number of series decided on.
WITH decided AS (
    SELECT archive_key, study_key, count(*) AS n_decided FROM series_outcome GROUP BY archive_key, study_key
)
SELECT study.archive_key, study.study_key, study.n_series, decided.n_decided
FROM study JOIN decided ON decided.archive_key = study.archive_key AND decided.study_key = study.study_key
WHERE study.n_series <> decided.n_decided
