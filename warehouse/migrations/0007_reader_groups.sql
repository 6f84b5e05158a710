-- Who reports: a group of people, never a person. Missed diagnoses can then be told by group.

ALTER TABLE report ADD COLUMN reader_group VARCHAR;
COMMENT ON COLUMN report.reader_group IS 'Group of those who reported, as the file names it, such as chest or night; null when it names none.';
ALTER TABLE audit_unit ADD COLUMN reader_group VARCHAR;
COMMENT ON COLUMN audit_unit.reader_group IS 'Group that wrote the report of study_key; null without one.';
