-- Models whose operating point or domain limit was chosen here: the current one is not the one that they ship with.
-- domain_id: the yardstick that a chosen limit is on. $shipped: id of what ships.
SELECT 'operating_point' AS origin, model_digest, NULL AS domain_id
FROM operating_point WHERE is_current AND operating_point_id <> $shipped
UNION
SELECT 'domain_limit', model_digest, domain_id
FROM domain_limit WHERE is_current AND limit_id <> $shipped
