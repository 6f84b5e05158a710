-- Archives where not everything found is accounted for, by study.
SELECT archive_key, found, scored + excluded + quarantined + failed + pending AS accounted
FROM conservation
WHERE level = 'study' AND NOT is_conserved
