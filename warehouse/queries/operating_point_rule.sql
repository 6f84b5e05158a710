-- How the threshold of an operating point was chosen, in words. $model_digest, $operating_point_id.
SELECT rule
FROM operating_point
WHERE model_digest = $model_digest AND operating_point_id = $operating_point_id
