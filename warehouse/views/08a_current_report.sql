-- Grain: one row per linked report version that counts: preliminary and cancelled ones do not, nor what nobody could read.
-- The newest by date counts; at one date a correction before an addendum before a final one, then the last imported.

CREATE VIEW current_report AS
SELECT
    study_key,
    report_key,
    status,
    reported_at,
    n_characters,
    reader_group,
    count(*) OVER (PARTITION BY study_key) AS n_versions
FROM report
WHERE outcome = 'linked' AND status IN ('final', 'addendum', 'corrected')
QUALIFY row_number() OVER (
    PARTITION BY study_key
    ORDER BY
        reported_at DESC NULLS LAST,
        list_position(['corrected', 'addendum', 'final'], status),
        sequence DESC
) = 1;
COMMENT ON VIEW current_report IS 'The report that counts for each study: its newest final version; one row per study with one.';
