-- Readings of a case that was not drawn.
SELECT audit_id, case_id
FROM audit_reading
ANTI JOIN audit_unit ON audit_unit.audit_id = audit_reading.audit_id AND audit_unit.case_id = audit_reading.case_id
