-- Publications whose state and reason do not fit, or of which two results stand in one study of a PACS.
SELECT target, sop_instance_uid, state
FROM publication
WHERE kind NOT IN ('sr', 'capture', 'rejection')
    OR state NOT IN ('sending', 'published', 'failed', 'superseded', 'retracted', 'dropped')
    OR (state = 'failed') <> (reason IS NOT NULL)
    OR coalesce(reason NOT IN ('unreachable', 'no_answer', 'refused'), false)
UNION ALL
SELECT target, min(sop_instance_uid), 'two stand'
FROM publication
WHERE kind = 'sr' AND state = 'published'
GROUP BY target, study_key
HAVING count(*) > 1
