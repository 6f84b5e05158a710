-- Which of some study keys are studies of this warehouse. $keys: a list.
SELECT DISTINCT study_key
FROM study
WHERE study_key IN (SELECT unnest($keys::VARCHAR[]))
