-- How many studies of one archive one model flags, by its current operating point. $archive_key, $model_digest.
SELECT count(DISTINCT flagged.study_key)
FROM flagged JOIN study USING (study_key)
WHERE flagged.is_flagged AND study.archive_key = $archive_key AND flagged.model_digest = $model_digest
