-- Eligible series of one decision that share a rank: which is tried first would be chance.
SELECT study_key, study_revision, profile_digest, reader_version, rank, count(*) AS n
FROM selection
WHERE outcome = 'eligible'
GROUP BY study_key, study_revision, profile_digest, reader_version, rank
HAVING n > 1
