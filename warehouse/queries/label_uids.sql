-- The studies with some StudyInstanceUIDs; the identity file is attached as `identity`. $uids: a list.
SELECT study_instance_uid, study_key
FROM identity.study_identity
WHERE study_instance_uid IN (SELECT unnest($uids::VARCHAR[]))
