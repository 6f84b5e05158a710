-- One row per night of an archive that landed, the newest $n_nights, oldest first. $archive_key, $n_nights.
SELECT * FROM (
    SELECT night.*, run.started_at
    FROM night JOIN run USING (run_id)
    WHERE night.archive_key = $archive_key
    ORDER BY run.started_at DESC, run_id DESC
    LIMIT $n_nights
) AS newest
ORDER BY started_at, run_id
