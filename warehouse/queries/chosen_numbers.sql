-- Models whose operating point or domain limit was chosen here: the current one is not the one that they ship with.
-- $shipped: id of what ships.
SELECT 'operating_point' AS origin, model_digest
FROM operating_point WHERE is_current AND operating_point_id <> $shipped
UNION
SELECT 'domain_limit', model_digest
FROM domain_limit WHERE is_current AND limit_id <> $shipped
