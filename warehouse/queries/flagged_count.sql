-- How many studies of one archive are scored and flagged by one model. $archive_key, $model_digest.
SELECT count(*)
FROM study_outcome AS study
JOIN flagged USING (series_key, series_revision)
WHERE study.archive_key = $archive_key
    AND study.outcome = 'scored'
    AND flagged.model_digest = $model_digest
    AND flagged.is_flagged
