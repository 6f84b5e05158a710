-- Grain: one row per archive and study. A study takes the best outcome of its series:
-- scored > pending > failed > quarantined > excluded; a series that only waits behind a failed one does not make its
-- study pending. Reason and message are those of the series that came closest: by rank, then checks passed, then size.

CREATE VIEW study_outcome AS
WITH series AS MATERIALIZED (SELECT * FROM series_outcome),
closest AS (
    SELECT
        archive_key,
        study_key,
        min(struct_pack(
            place := CASE
                WHEN outcome = 'scored' THEN 1
                WHEN outcome = 'pending' AND NOT is_waiting THEN 2
                WHEN outcome = 'failed' THEN 3
                WHEN outcome = 'pending' THEN 4
                WHEN outcome = 'quarantined' THEN 5
                ELSE 6
            END,
            rank := coalesce(rank, 1000000),
            n_missed := -n_checks_passed,
            n_absent := -n_instances,
            series_key := series_key
        )).series_key AS series_key
    FROM series
    GROUP BY archive_key, study_key
)
SELECT
    study.archive_key,
    study.study_key,
    study.study_revision,
    coalesce(series.outcome, 'pending') AS outcome,
    series.reason,
    series.message,
    series.series_key,
    series.series_revision,
    series.storage_recipe,
    series.view_recipe,
    series.model_digest
FROM study
LEFT JOIN (
    SELECT series.*
    FROM series JOIN closest USING (archive_key, study_key, series_key)
) AS series ON series.archive_key = study.archive_key AND series.study_key = study.study_key;
COMMENT ON VIEW study_outcome IS 'Where each study ends: one row per archive and study, with the series that was scored or came closest.';
