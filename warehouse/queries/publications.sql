-- Every object that was sent to one PACS, by study. $target.
SELECT * FROM publication WHERE target = $target ORDER BY study_key, kind, changed_at, sop_instance_uid
