-- Deletes the selection of every study with a series whose reason is $reason or begins with it and a colon, so that the
-- next sweep decides the whole study again.
DELETE FROM selection
USING (
    SELECT DISTINCT study_key, study_revision, profile_digest, reader_version
    FROM selection
    WHERE reason = $reason OR starts_with(reason, $reason || ':')
) AS again
WHERE selection.study_key = again.study_key
    AND selection.study_revision = again.study_revision
    AND selection.profile_digest = again.profile_digest
    AND selection.reader_version = again.reader_version
