-- The series that a SeriesInstanceUID names; the identity file is attached as `identity`. $uids.
SELECT series_instance_uid, series_key
FROM identity.series_identity
WHERE list_contains($uids::VARCHAR[], series_instance_uid)
