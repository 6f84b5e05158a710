-- Archives where not everything found is accounted for, by series.
SELECT archive_key, found, scored + excluded + quarantined + failed + pending AS accounted
FROM conservation
WHERE level = 'series' AND NOT is_conserved
