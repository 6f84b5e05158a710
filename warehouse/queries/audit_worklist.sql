-- Flagged units whose reports deny or do not mention a fracture (list missed), and apart from them those with a doubted or
-- ambiguous word (list ambiguous): the scans to read first. Ordered by probability; what an earlier report stated already is
-- left out. At most $length rows of each list. $model_digest, $rule, $from_age as in audit_units.
SELECT
    CASE report WHEN 'ambiguous' THEN 'ambiguous' ELSE 'missed' END AS list,
    row_number() OVER (PARTITION BY report ORDER BY probability DESC, unit_key) AS place,
    unit_key,
    patient_key,
    study_key,
    study_keys,
    series_key,
    site,
    study_date,
    age_years,
    sex,
    statement,
    probability
FROM audit_units($model_digest::VARCHAR, $rule::VARCHAR, $from_age::BIGINT)
WHERE ai = 'flagged' AND report IN ('not_reported', 'ambiguous') AND age_years >= $from_age::BIGINT AND NOT is_known_before
QUALIFY place <= $length::BIGINT
ORDER BY list DESC, place
