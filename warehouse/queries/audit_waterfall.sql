-- The way of the studies from found to audited: one row per step (found, ct, eligible, scored, with_report, audited) with how
-- many reach it and reason null, and one per outcome and reason of those lost before it. Lost ones and the next step
-- sum to the step before. A study that nothing decided yet is lost before eligible with outcome pending: never a negative.
-- Read cases that readers differ about, or could not judge, are lost before audited with reason no_verdict.
-- $model_digest: scores of this model; null: the newest answer of each series. $audit_id: the audit; null: none yet.
-- $judged: its cases with a verdict that counts.
WITH audited AS (
    SELECT DISTINCT unnest(study_keys) AS study_key, is_read, is_judged
    FROM (
        SELECT
            study_keys,
            (audit_id, case_id) IN (SELECT (audit_id, case_id) FROM audit_reading) AS is_read,
            list_contains($judged::VARCHAR[], case_id) AS is_judged
        FROM audit_unit
        WHERE audit_id = $audit_id::VARCHAR
    )
),
placed AS (
    SELECT
        studies.study_key,
        studies.outcome,
        studies.reason,
        audited.is_read,
        CASE
            WHEN NOT is_ct THEN 1
            WHEN NOT is_eligible THEN 2
            WHEN NOT is_scored THEN 3
            WHEN report = 'no_report' THEN 4
            WHEN NOT coalesce(audited.is_judged, false) THEN 5
            ELSE 6
        END AS last_step
    FROM audit_studies($model_digest::VARCHAR) AS studies
    LEFT JOIN audited ON audited.study_key = studies.study_key
),
steps AS (
    SELECT
        unnest([1, 2, 3, 4, 5, 6]) AS place,
        unnest(['found', 'ct', 'eligible', 'scored', 'with_report', 'audited']) AS step
)
SELECT step, NULL AS outcome, NULL AS reason, (SELECT count(*) FROM placed WHERE last_step >= place) AS n_studies, place
FROM steps
UNION ALL
SELECT
    step,
    outcome,
    CASE
        WHEN place = 5 THEN 'no_report'
        WHEN place = 6 AND is_read IS NULL THEN 'not_drawn'
        WHEN place = 6 AND NOT is_read THEN 'not_read'
        WHEN place = 6 THEN 'no_verdict'
        ELSE coalesce(reason, 'undecided')
    END AS reason,
    count(*) AS n_studies,
    place
FROM placed JOIN steps ON place = last_step + 1
GROUP BY ALL
ORDER BY place, reason NULLS FIRST, outcome
