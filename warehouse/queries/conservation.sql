-- One row per archive and level: found against the sum of the outcomes. $archive_key: one archive; null: all.
SELECT * FROM conservation
WHERE $archive_key::VARCHAR IS NULL OR archive_key = $archive_key
ORDER BY archive_key, list_position(['file', 'series', 'study'], level)
