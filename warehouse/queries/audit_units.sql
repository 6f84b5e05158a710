-- The units of an audit's frame, one row each, sorted by unit_key. $model_digest: scores of this model; null: the newest answer
-- of each series. $rule: first | last | patient-day | all. $from_age: youngest age in years; unknown ages are left out.
SELECT *
FROM audit_units($model_digest::VARCHAR, $rule::VARCHAR, $from_age::BIGINT)
WHERE age_years >= $from_age::BIGINT
ORDER BY unit_key
