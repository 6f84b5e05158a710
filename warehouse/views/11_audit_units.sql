-- Grain: one row per unit of an audit. wanted_rule: first or last eligible day of each patient at the ages that count (of
-- from_age or more; a patient without such a day stays with another, which no count takes), patient-day (every day), or all
-- (every study by itself). The exams of one day are one unit: the strongest AI result, score and report count, since
-- one exam can have two accession numbers and two reports. A study without patient or date is a unit of its own.

CREATE OR REPLACE MACRO audit_units(wanted_model, wanted_rule, from_age) AS TABLE
WITH studies AS MATERIALIZED (SELECT * FROM audit_studies(wanted_model)),
days AS (
    SELECT
        person_key,
        CASE
            WHEN wanted_rule = 'all' OR patient_key IS NULL OR study_date IS NULL THEN 'study ' || study_key
            ELSE study_date::VARCHAR
        END AS day,
        min(struct_pack(worst := -coalesce(probability, -1), study_key := study_key)).study_key AS study_key,
        list(study_key) AS study_keys,
        max(probability) AS probability,
        min(list_position(['flagged', 'not_flagged', 'not_scored'], ai)) AS ai_place,
        bool_or(ai IS NULL) AS is_undecided,
        min(list_position(['fracture', 'ambiguous', 'not_reported', 'no_report'], report)) AS report_place,
        min(list_position(['present', 'possible', 'absent', 'unmentioned'], statement)) AS statement_place
    FROM studies
    WHERE is_eligible
    GROUP BY ALL
),
known AS (
    SELECT person_key, min(study_date) AS first_reported FROM studies WHERE report = 'fracture' GROUP BY person_key
)
SELECT
    days.person_key || '|' || days.day AS unit_key,
    days.person_key,
    studies.patient_key,
    days.study_key,
    list_sort(days.study_keys) AS study_keys,
    studies.study_date,
    studies.age_years,
    studies.sex,
    studies.age,
    coalesce(year(studies.study_date)::VARCHAR, 'unknown') AS year,
    studies.site,
    studies.scanner,
    studies.coverage,
    studies.series_key,
    days.probability,
    CASE
        WHEN NOT days.is_undecided THEN ['flagged', 'not_flagged', 'not_scored'][days.ai_place]
    END AS ai,
    ['fracture', 'ambiguous', 'not_reported', 'no_report'][days.report_place] AS report,
    ['present', 'possible', 'absent', 'unmentioned'][days.statement_place] AS statement,
    coalesce(known.first_reported < studies.study_date, false) AS is_known_before,
    studies.reader_group
FROM days
JOIN studies ON studies.study_key = days.study_key
LEFT JOIN known ON known.person_key = days.person_key
QUALIFY CASE wanted_rule
    WHEN 'first' THEN row_number() OVER (
        PARTITION BY days.person_key
        ORDER BY coalesce(studies.age_years >= from_age, false) DESC, studies.study_date NULLS LAST, days.day) = 1
    WHEN 'last' THEN row_number() OVER (
        PARTITION BY days.person_key
        ORDER BY coalesce(studies.age_years >= from_age, false) DESC, studies.study_date DESC NULLS LAST, days.day DESC) = 1
    ELSE true
END;
