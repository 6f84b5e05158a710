-- Audits: what was drawn for reading, with which fractions and seed, and what the readers found.
-- Drawn once, never silently again: the estimates rest on the fractions that are stored here.

CREATE TABLE audit (
    audit_id VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    from_age_years BIGINT NOT NULL,
    seed BIGINT NOT NULL,
    n_units BIGINT NOT NULL,
    n_drawn BIGINT NOT NULL,
    frame_digest VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL,
    operating_point_id VARCHAR NOT NULL,
    threshold DOUBLE NOT NULL,
    lexicon_digest VARCHAR,
    code_version VARCHAR NOT NULL,
    drawn_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE audit IS 'One audit sample, as it was drawn. Key: audit_id.';
COMMENT ON COLUMN audit.audit_id IS 'A1, A2, ... in the order of drawing.';
COMMENT ON COLUMN audit.rule IS 'Which units a patient gives: first | last | patient-day | all (each study by itself).';
COMMENT ON COLUMN audit.from_age_years IS 'Youngest age in the frame, in years; unknown ages are not in it.';
COMMENT ON COLUMN audit.seed IS 'Seed of the drawing.';
COMMENT ON COLUMN audit.n_units IS 'Units in the frame.';
COMMENT ON COLUMN audit.n_drawn IS 'Units drawn for reading.';
COMMENT ON COLUMN audit.frame_digest IS 'SHA-256 of all units of the frame with their cells.';
COMMENT ON COLUMN audit.model_digest IS 'SHA-256 of the model whose flags made the cells.';
COMMENT ON COLUMN audit.model_id IS 'Its id.';
COMMENT ON COLUMN audit.operating_point_id IS 'The operating point that counted.';
COMMENT ON COLUMN audit.threshold IS 'Its threshold on the calibrated probability.';
COMMENT ON COLUMN audit.lexicon_digest IS 'The lexicon that counted; null before any report was labelled.';
COMMENT ON COLUMN audit.code_version IS 'Version of this program.';
COMMENT ON COLUMN audit.drawn_at IS 'When it was drawn, UTC. volatile';

CREATE TABLE audit_cell (
    audit_id VARCHAR NOT NULL,
    cell BIGINT NOT NULL,
    ai VARCHAR NOT NULL,
    report VARCHAR NOT NULL,
    stratum BIGINT NOT NULL,
    score_from DOUBLE,
    score_below DOUBLE,
    n_units BIGINT NOT NULL,
    n_drawn BIGINT NOT NULL,
    planned_share DOUBLE NOT NULL
);
COMMENT ON TABLE audit_cell IS 'One cell of an audit: what the AI said × what the reports said, with its sampling fraction n_drawn / n_units. Key: audit_id, cell.';
COMMENT ON COLUMN audit_cell.audit_id IS 'The audit.';
COMMENT ON COLUMN audit_cell.cell IS 'Number of the cell, from 0.';
COMMENT ON COLUMN audit_cell.ai IS 'flagged | not_flagged | not_scored';
COMMENT ON COLUMN audit_cell.report IS 'fracture | ambiguous | not_reported | no_report';
COMMENT ON COLUMN audit_cell.stratum IS 'Stratum of score, from the lowest; 0 where the cell is not split.';
COMMENT ON COLUMN audit_cell.score_from IS 'Lowest probability of the stratum; null where it has no lower edge.';
COMMENT ON COLUMN audit_cell.score_below IS 'Probability that the stratum ends below; null where it has no upper edge.';
COMMENT ON COLUMN audit_cell.n_units IS 'Units of the frame in the cell.';
COMMENT ON COLUMN audit_cell.n_drawn IS 'Units drawn from it.';
COMMENT ON COLUMN audit_cell.planned_share IS 'Share of cases that the allocation planned with; changes precision, no estimate.';

CREATE TABLE audit_unit (
    audit_id VARCHAR NOT NULL,
    case_id VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    cell BIGINT NOT NULL,
    unit_key VARCHAR NOT NULL,
    patient_key VARCHAR,
    study_key VARCHAR NOT NULL,
    study_keys VARCHAR[] NOT NULL,
    study_date DATE,
    age_years BIGINT,
    sex VARCHAR,
    site VARCHAR NOT NULL,
    scanner VARCHAR NOT NULL,
    coverage VARCHAR NOT NULL,
    statement VARCHAR,
    is_known_before BOOLEAN NOT NULL,
    probability DOUBLE
);
COMMENT ON TABLE audit_unit IS 'One unit drawn for reading, with what was known of it when it was drawn. Key: audit_id, case_id.';
COMMENT ON COLUMN audit_unit.audit_id IS 'The audit.';
COMMENT ON COLUMN audit_unit.case_id IS 'What the readers know it by; says nothing of cell, score or report.';
COMMENT ON COLUMN audit_unit.position IS 'Place in the reading list, from 1, at random.';
COMMENT ON COLUMN audit_unit.cell IS 'Cell it was drawn from.';
COMMENT ON COLUMN audit_unit.unit_key IS 'Pseudonym of the unit: patient and day, or a study.';
COMMENT ON COLUMN audit_unit.patient_key IS 'Pseudonym of the patient; null without PatientID and after "ovf forget".';
COMMENT ON COLUMN audit_unit.study_key IS 'The study of the unit that the AI is most sure of.';
COMMENT ON COLUMN audit_unit.study_keys IS 'All its studies: one exam can have two accession numbers.';
COMMENT ON COLUMN audit_unit.study_date IS 'Day of the unit; null when unknown.';
COMMENT ON COLUMN audit_unit.age_years IS 'Age on that day, in years.';
COMMENT ON COLUMN audit_unit.sex IS 'F | M | O; null when unknown.';
COMMENT ON COLUMN audit_unit.site IS 'Name of the site.';
COMMENT ON COLUMN audit_unit.scanner IS 'Manufacturer and model; unknown when absent.';
COMMENT ON COLUMN audit_unit.coverage IS 'Length of the scan, in bands of mm.';
COMMENT ON COLUMN audit_unit.statement IS 'Strongest statement of the unit''s reports: present | possible | absent | unmentioned; null without a report.';
COMMENT ON COLUMN audit_unit.is_known_before IS 'A report of an earlier day stated a fracture of the same patient.';
COMMENT ON COLUMN audit_unit.probability IS 'Highest calibrated probability of the unit; null when it was not scored.';

CREATE TABLE audit_reading (
    audit_id VARCHAR NOT NULL,
    case_id VARCHAR NOT NULL,
    reader VARCHAR NOT NULL,
    is_adjudication BOOLEAN NOT NULL,
    level VARCHAR NOT NULL,
    is_evaluable BOOLEAN NOT NULL,
    grade BIGINT,
    has_endplate_depression BOOLEAN,
    cause VARCHAR,
    imported_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE audit_reading IS 'What one reader found in one unit, at one level or in all of it. Key: audit_id, case_id, reader, is_adjudication, level.';
COMMENT ON COLUMN audit_reading.audit_id IS 'The audit.';
COMMENT ON COLUMN audit_reading.case_id IS 'The unit.';
COMMENT ON COLUMN audit_reading.reader IS 'Who read it, as the file says; initials will do.';
COMMENT ON COLUMN audit_reading.is_adjudication IS 'The verdict that settles two different ones.';
COMMENT ON COLUMN audit_reading.level IS 'T1 to L6, or study for the whole scan.';
COMMENT ON COLUMN audit_reading.is_evaluable IS 'False: the scan cannot be judged; then there is no grade.';
COMMENT ON COLUMN audit_reading.grade IS 'Genant grade, 0 to 3; null when it cannot be judged.';
COMMENT ON COLUMN audit_reading.has_endplate_depression IS 'An endplate is depressed; null when not said.';
COMMENT ON COLUMN audit_reading.cause IS 'osteoporotic | traumatic | pathological | treated; null when not said.';
COMMENT ON COLUMN audit_reading.imported_at IS 'When it was imported, UTC. volatile';
