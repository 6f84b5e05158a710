-- Archives where not everything found is accounted for, by file.
SELECT archive_key, found, scored + excluded + quarantined + failed + pending AS accounted
FROM conservation
WHERE level = 'file' AND NOT is_conserved
