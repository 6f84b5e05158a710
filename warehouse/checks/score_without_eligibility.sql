-- Scores of a series revision that no selection found eligible.
SELECT series_key, series_revision, model_digest
FROM score ANTI JOIN (SELECT * FROM selection WHERE outcome = 'eligible') USING (series_key, series_revision)
