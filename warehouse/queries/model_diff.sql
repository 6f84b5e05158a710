-- Series that two models have both scored, one row each, with what either says; those whose flags differ first, then by
-- how far the logits lie apart. $digest_a, $digest_b: digests of the models.
SELECT
    one.study_key,
    one.series_key,
    one.logit AS logit_a,
    two.logit AS logit_b,
    one.probability AS probability_a,
    two.probability AS probability_b,
    one.is_flagged AS flagged_a,
    two.is_flagged AS flagged_b,
    one.is_evaluable AS evaluable_a,
    two.is_evaluable AS evaluable_b,
    one.is_flagged IS DISTINCT FROM two.is_flagged AS is_flipped
FROM flagged AS one
JOIN flagged AS two USING (series_key, series_revision)
WHERE one.model_digest = $digest_a AND two.model_digest = $digest_b
ORDER BY is_flipped DESC, abs(two.logit - one.logit) DESC, one.series_key
