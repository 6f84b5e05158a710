-- Where the imported reports ended: versions by outcome and reason.
SELECT outcome, reason, count(*) AS n_reports FROM report GROUP BY ALL ORDER BY ALL
