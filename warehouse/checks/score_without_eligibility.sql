-- Scores of a series revision that was decided on but never found eligible.
SELECT series_key, series_revision, model_digest
FROM score
SEMI JOIN selection USING (series_key, series_revision)
ANTI JOIN (SELECT * FROM selection WHERE outcome = 'eligible') USING (series_key, series_revision)
