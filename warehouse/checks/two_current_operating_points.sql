-- Models with more than one current operating point.
SELECT model_digest, count(*) AS n_current
FROM operating_point
WHERE is_current
GROUP BY model_digest
HAVING n_current > 1
