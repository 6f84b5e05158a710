-- The cases of an audit in the order of reading, and nothing else: readers are blind. $audit_id: the audit.
SELECT case_id FROM audit_unit WHERE audit_id = $audit_id::VARCHAR ORDER BY position
