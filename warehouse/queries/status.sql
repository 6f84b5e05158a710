-- One row per archive: its newest run, and how its studies stand.
WITH newest AS (
    SELECT * FROM run QUALIFY row_number() OVER (PARTITION BY archive_key ORDER BY started_at DESC, run_id) = 1
)
SELECT
    archive.archive_key,
    archive.site,
    archive.kind AS archive_kind,
    newest.run_id,
    newest.kind AS run_kind,
    newest.state,
    newest.started_at,
    newest.finished_at,
    newest.host,
    newest.pid,
    archive.is_crawl_complete,
    archive.n_files_found,
    conservation.found AS n_studies_found,
    conservation.scored,
    conservation.excluded,
    conservation.quarantined,
    conservation.failed,
    conservation.pending
FROM archive
LEFT JOIN newest ON newest.archive_key = archive.archive_key
LEFT JOIN conservation ON conservation.archive_key = archive.archive_key AND conservation.level = 'study'
ORDER BY newest.started_at DESC NULLS LAST, archive.archive_key
