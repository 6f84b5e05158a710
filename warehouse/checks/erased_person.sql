-- Rows that still carry an erased patient.
SELECT 'study' AS origin, study_key AS key
FROM study SEMI JOIN (SELECT key FROM forgotten WHERE kind = 'patient') AS gone ON gone.key = study.patient_key
UNION ALL
SELECT 'audit_unit', case_id
FROM audit_unit SEMI JOIN (SELECT key FROM forgotten WHERE kind = 'patient') AS gone ON gone.key = audit_unit.patient_key
UNION ALL
SELECT 'score', series_key
FROM score SEMI JOIN (SELECT key FROM forgotten WHERE kind = 'series') AS gone ON gone.key = score.series_key || ':' || score.series_revision
UNION ALL
SELECT 'slab', series_key
FROM slab SEMI JOIN (SELECT key FROM forgotten WHERE kind = 'series') AS gone ON gone.key = slab.series_key || ':' || slab.series_revision
UNION ALL
SELECT 'publication', study_key
FROM publication SEMI JOIN (SELECT key FROM forgotten WHERE kind = 'study') AS gone ON gone.key = publication.study_key
