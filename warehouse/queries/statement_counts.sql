-- What the reports that count state: studies by statement and wording.
SELECT statement, wording, count(*) AS n_studies FROM current_statement GROUP BY ALL ORDER BY ALL
