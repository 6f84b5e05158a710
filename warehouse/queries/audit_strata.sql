-- Flags and reports by sex, age, age and sex, year, site, scanner and coverage: one row per dimension and value; `all` is
-- everybody of the ages that count. Grain of what is counted: the units of audit_units. Ages below $from_age and unknown ones
-- are rows of `age` alone (is_counted false). n_units = n_flagged + n_not_flagged + n_not_scored + n_undecided (scored, but
-- the model has no operating point). $model_digest, $rule, $from_age as in audit_units.
WITH units AS (
    SELECT *, coalesce(age_years >= $from_age::BIGINT, false) AS is_counted
    FROM audit_units($model_digest::VARCHAR, $rule::VARCHAR, $from_age::BIGINT)
),
listed AS (
    SELECT
        ai,
        report,
        is_counted,
        unnest(['all', 'sex', 'age', 'age and sex', 'year', 'site', 'scanner', 'coverage']) AS dimension,
        unnest(['all', sex, age, age || ', ' || sex, year, site, scanner, coverage]) AS value
    FROM units
)
SELECT
    dimension,
    value,
    is_counted,
    count(*) AS n_units,
    count(*) FILTER (ai = 'flagged') AS n_flagged,
    count(*) FILTER (ai = 'not_flagged') AS n_not_flagged,
    count(*) FILTER (ai = 'not_scored') AS n_not_scored,
    count(*) FILTER (ai IS NULL) AS n_undecided,
    count(*) FILTER (report = 'fracture') AS n_report_fracture,
    count(*) FILTER (report = 'ambiguous') AS n_report_ambiguous,
    count(*) FILTER (report = 'not_reported') AS n_report_none,
    count(*) FILTER (report = 'no_report') AS n_no_report
FROM listed
WHERE is_counted OR dimension = 'age'
GROUP BY dimension, value, is_counted
ORDER BY
    list_position(['all', 'sex', 'age', 'age and sex', 'year', 'site', 'scanner', 'coverage'], dimension),
    is_counted DESC,
    value
