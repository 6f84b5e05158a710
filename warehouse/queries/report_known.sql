-- Those of some report keys that are stored whole: their row and their text. $report_keys: a list.
SELECT report.report_key
FROM report SEMI JOIN identity.report_text USING (report_key)
WHERE report.report_key IN (SELECT unnest($report_keys::VARCHAR[]))
