-- What happened after the first flag: patients whose first flagged day is in the ages that count, by what the reports of that
-- day said, how many reports of later days stayed silent (5: five or more), and whether a later one spoke; days_to_report is
-- the median from the flagged day to the first report that says fracture or an ambiguous word. Flagged is not visible: that
-- needs a reader. $model_digest, $from_age as in audit_units. $confirmed: unit_keys (rule patient-day) that readers confirmed.
WITH days AS MATERIALIZED (
    SELECT * FROM audit_units($model_digest::VARCHAR, 'patient-day', $from_age::BIGINT) WHERE patient_key IS NOT NULL AND study_date IS NOT NULL
),
first_flagged AS (
    SELECT person_key, min(study_date) AS flagged_on
    FROM days
    WHERE ai = 'flagged' AND age_years >= $from_age::BIGINT
    GROUP BY person_key
),
followed AS (
    SELECT
        days.person_key,
        any_value(days.report) FILTER (study_date = flagged_on) AS report_then,
        bool_or(unit_key IN (SELECT unnest($confirmed::VARCHAR[]))) FILTER (study_date = flagged_on) AS is_confirmed,
        count(*) FILTER (study_date > flagged_on AND report <> 'no_report') AS n_later_reports,
        count(*) FILTER (study_date > flagged_on AND report = 'not_reported') AS n_later_silent,
        min(study_date) FILTER (study_date >= flagged_on AND report IN ('fracture', 'ambiguous')) - min(flagged_on)
            AS days_to_report
    FROM days JOIN first_flagged ON first_flagged.person_key = days.person_key
    GROUP BY days.person_key
)
SELECT
    report_then,
    is_confirmed,
    least(n_later_silent, 5) AS n_later_silent,
    n_later_reports > n_later_silent AS is_reported_later,
    count(*) AS n_patients,
    sum(n_later_reports)::BIGINT AS n_later_reports,
    median(days_to_report) AS days_to_report
FROM followed
GROUP BY ALL
ORDER BY ALL
