-- Statements or wordings that are none, or an unread report with a wording.
SELECT report_key, statement, wording
FROM report_statement
WHERE statement NOT IN ('present', 'possible', 'absent', 'unmentioned', 'unread')
    OR wording NOT IN ('fracture', 'ambiguous', 'none')
    OR (statement IN ('unmentioned', 'unread')) <> (wording = 'none')
