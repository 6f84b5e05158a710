-- How many studies have a current or past decision with reason $reason (or one that begins with it and a colon).
SELECT count(DISTINCT study_key)
FROM (
    SELECT study_key FROM selection WHERE reason = $reason OR starts_with(reason, $reason || ':')
    UNION ALL
    SELECT series.study_key
    FROM rejection JOIN series USING (series_key, series_revision)
    WHERE rejection.reason = $reason OR starts_with(rejection.reason, $reason || ':')
)
