-- The way of the studies from found to reported: one row per step (found, ct, eligible, scored, with_report) with how many
-- reach it and reason null, and one per outcome and reason of those lost before it. Lost ones and the next step sum to
-- the step before. A study that nothing decided yet is lost before eligible with outcome pending: never a negative.
-- $model_id: scores of this model; null: the newest answer of each series.
WITH looked_at AS (
    SELECT
        study_key,
        outcome,
        reason,
        NOT coalesce(split_part(reason, ':', 1) IN ('not_ct', 'sop_class', 'unsupported_sop'), false) AS is_ct,
        outcome = 'scored' OR study_key IN (SELECT study_key FROM current_series WHERE rank IS NOT NULL) AS is_eligible,
        outcome = 'scored' AS is_scored,
        report_statement IS NOT NULL AS has_report
    FROM export_scores($model_id::VARCHAR)
),
placed AS (
    SELECT
        *,
        CASE
            WHEN NOT is_ct THEN 1
            WHEN NOT is_eligible THEN 2
            WHEN NOT is_scored THEN 3
            WHEN NOT has_report THEN 4
            ELSE 5
        END AS last_step
    FROM looked_at
),
steps AS (
    SELECT unnest([1, 2, 3, 4, 5]) AS place, unnest(['found', 'ct', 'eligible', 'scored', 'with_report']) AS step
)
SELECT step, NULL AS outcome, NULL AS reason, (SELECT count(*) FROM placed WHERE last_step >= place) AS n_studies, place
FROM steps
UNION ALL
SELECT
    step,
    outcome,
    CASE WHEN place = 5 THEN 'no_report' ELSE coalesce(reason, 'undecided') END AS reason,
    count(*) AS n_studies,
    place
FROM placed JOIN steps ON place = last_step + 1
GROUP BY ALL
ORDER BY place, reason NULLS FIRST, outcome
