-- Grain: one row per study found, with what an audit asks of it. wanted_model as in export_scores.
-- is_eligible: a CT that the question is about. That is one that was scored, was tried, or would have been but for a fault of
-- the file or of its acquisition; not one of another body part, kind of image or cohort, nor one nothing decided yet.
-- ai: flagged | not_flagged | not_scored; null where the model has no operating point. report: fracture (says so) |
-- ambiguous (doubted, or only deformity or height loss) | not_reported (denied or silent) | no_report.

CREATE OR REPLACE MACRO audit_studies(wanted_model) AS TABLE
WITH found AS (SELECT * FROM export_scores(wanted_model)),
tried AS (
    SELECT series_outcome.series_key, max(series.coverage_mm) AS coverage_mm
    FROM series_outcome JOIN series USING (series_key, series_revision)
    GROUP BY series_outcome.series_key
),
eligible AS (SELECT DISTINCT study_key FROM series_outcome WHERE rank IS NOT NULL)
SELECT
    found.study_key,
    found.patient_key,
    coalesce(found.patient_key, 'study ' || found.study_key) AS person_key,
    found.site,
    found.study_date,
    found.age_years,
    coalesce(found.sex, 'unknown') AS sex,
    CASE
        WHEN found.age_years IS NULL THEN 'unknown'
        WHEN found.age_years < 50 THEN 'under 50'
        WHEN found.age_years >= 90 THEN '90 and over'
        ELSE format('{}-{}', found.age_years // 10 * 10, found.age_years // 10 * 10 + 9)
    END AS age,
    coalesce(nullif(concat_ws(' ', found.manufacturer, found.model_name), ''), 'unknown') AS scanner,
    CASE
        WHEN tried.coverage_mm IS NULL THEN 'unknown'
        WHEN tried.coverage_mm < 250 THEN 'under 250 mm'
        WHEN tried.coverage_mm < 400 THEN '250 to 399 mm'
        ELSE '400 mm and over'
    END AS coverage,
    found.outcome,
    found.reason,
    found.series_key,
    found.model_id,
    found.probability,
    split_part(coalesce(found.reason, ''), ':', 1) NOT IN ('not_ct', 'sop_class', 'unsupported_sop') AS is_ct,
    found.outcome = 'scored'
        OR eligible.study_key IS NOT NULL
        OR (
            found.reason IS NOT NULL
            AND found.outcome IN ('excluded', 'quarantined', 'failed')
            AND split_part(found.reason, ':', 1) NOT IN (
                'not_ct', 'sop_class', 'unsupported_sop', 'localizer', 'image_type', 'mip', 'material_map',
                'bone_removed', 'attenuation_correction', 'radiotherapy', 'interventional', 'bolus_timing',
                'prone_second', 'body_part', 'plane', 'too_short', 'too_few', 'rescale_type', 'duplicate',
                'under_age', 'date_range', 'not_in_cohort', 'opted_out'
            )
        ) AS is_eligible,
    found.outcome = 'scored' AS is_scored,
    CASE
        WHEN found.outcome <> 'scored' THEN 'not_scored'
        WHEN found.flagged THEN 'flagged'
        WHEN NOT found.flagged THEN 'not_flagged'
    END AS ai,
    found.report_statement AS statement,
    CASE
        WHEN found.report_statement IS NULL THEN 'no_report'
        WHEN found.report_statement = 'present' AND stated.wording = 'fracture' THEN 'fracture'
        WHEN found.report_statement IN ('present', 'possible') THEN 'ambiguous'
        ELSE 'not_reported'
    END AS report,
    stated.reader_group
FROM found
LEFT JOIN tried ON tried.series_key = found.series_key
LEFT JOIN eligible ON eligible.study_key = found.study_key
LEFT JOIN current_statement AS stated ON stated.study_key = found.study_key;
