-- Flags among scanned patients by sex, age, age and sex, year, site, scanner and coverage: one row per dimension and value; `all`
-- is everybody. One scan per patient: the first scored one (by study date, a missing date last). A study without
-- patient is a patient of its own. Missing age, sex or date is a row `unknown`; under 50 is a row of its own.
-- n_patients: with a score; n_decided: with a flag or none by the current operating point; reports of the same scan beside.
-- $model_id: scores of this model; null: the newest answer of each series.
WITH first_scan AS (
    SELECT *
    FROM export_scores($model_id::VARCHAR)
    WHERE outcome = 'scored'
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(patient_key, study_key) ORDER BY study_date NULLS LAST, study_key
    ) = 1
),
described AS (
    SELECT
        first_scan.flagged,
        first_scan.report_statement,
        coalesce(first_scan.sex, 'unknown') AS sex,
        CASE
            WHEN first_scan.age_years IS NULL THEN 'unknown'
            WHEN first_scan.age_years < 50 THEN 'under 50'
            WHEN first_scan.age_years >= 90 THEN '90 and over'
            ELSE format('{}-{}', first_scan.age_years // 10 * 10, first_scan.age_years // 10 * 10 + 9)
        END AS age,
        coalesce(year(first_scan.study_date)::VARCHAR, 'unknown') AS year,
        first_scan.site,
        coalesce(concat_ws(' ', first_scan.manufacturer, first_scan.model_name), 'unknown') AS scanner,
        CASE
            WHEN series.coverage_mm IS NULL THEN 'unknown'
            WHEN series.coverage_mm < 250 THEN 'under 250 mm'
            WHEN series.coverage_mm < 400 THEN '250 to 399 mm'
            ELSE '400 mm and over'
        END AS coverage
    FROM first_scan
    LEFT JOIN flagged AS scored
        ON scored.series_key = first_scan.series_key
        AND scored.study_key = first_scan.study_key
        AND scored.model_id = first_scan.model_id
        AND (scored.is_newest OR $model_id IS NOT NULL)
    LEFT JOIN series
        ON series.series_key = scored.series_key AND series.series_revision = scored.series_revision
),
listed AS (
    SELECT
        flagged,
        report_statement,
        unnest(['all', 'sex', 'age', 'age and sex', 'year', 'site', 'scanner', 'coverage']) AS dimension,
        unnest(['all', sex, age, age || ', ' || sex, year, site, scanner, coverage]) AS value
    FROM described
)
SELECT
    dimension,
    value,
    count(*) AS n_patients,
    count(flagged) AS n_decided,
    count(*) FILTER (flagged) AS n_flagged,
    count(report_statement) AS n_with_report,
    count(*) FILTER (report_statement = 'present') AS n_report_present,
    count(*) FILTER (report_statement = 'possible') AS n_report_possible
FROM listed
GROUP BY dimension, value
ORDER BY list_position(['all', 'sex', 'age', 'age and sex', 'year', 'site', 'scanner', 'coverage'], dimension), value
