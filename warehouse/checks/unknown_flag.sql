-- Flags that stand nowhere.
WITH given AS (
    SELECT DISTINCT unnest(flags) AS flag FROM selection
    UNION
    SELECT DISTINCT unnest(flags) FROM slab
)
SELECT flag
FROM given ANTI JOIN known_flag ON known_flag.code = split_part(given.flag, ':', 1)
