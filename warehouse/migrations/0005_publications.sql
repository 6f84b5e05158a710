-- What was sent to a PACS, and what came of it. The objects themselves can be built again at any time.

CREATE TABLE publication (
    target VARCHAR NOT NULL,
    sop_instance_uid VARCHAR NOT NULL,
    series_instance_uid VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    study_key VARCHAR NOT NULL,
    series_key VARCHAR NOT NULL,
    series_revision VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL,
    operating_point_id VARCHAR NOT NULL,
    probability DOUBLE NOT NULL,
    is_flagged BOOLEAN NOT NULL,
    facts_digest VARCHAR NOT NULL,
    content_digest VARCHAR NOT NULL,
    predecessor_uid VARCHAR,
    test_system VARCHAR,
    state VARCHAR NOT NULL,
    reason VARCHAR,
    message VARCHAR,
    n_attempts BIGINT NOT NULL,
    changed_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE publication IS 'One object of ours and one PACS it was sent to. Key: target, sop_instance_uid. Written before sending and after the answer.';
COMMENT ON COLUMN publication.target IS 'Address of the PACS, without credentials.';
COMMENT ON COLUMN publication.sop_instance_uid IS 'SOPInstanceUID (0008,0018) of our object: a keyed pseudonym itself, made of what the object states.';
COMMENT ON COLUMN publication.series_instance_uid IS 'SeriesInstanceUID (0020,000E) of our object, made the same way.';
COMMENT ON COLUMN publication.kind IS 'sr (the result) | capture (its picture) | rejection (the note that withdraws both).';
COMMENT ON COLUMN publication.study_key IS 'Pseudonym of the study it lies in.';
COMMENT ON COLUMN publication.series_key IS 'Pseudonym of the series that was scored.';
COMMENT ON COLUMN publication.series_revision IS 'Its revision.';
COMMENT ON COLUMN publication.model_digest IS 'SHA-256 of the model.';
COMMENT ON COLUMN publication.operating_point_id IS 'The operating point that counted.';
COMMENT ON COLUMN publication.probability IS 'Calibrated probability that it states; of a rejection: that of what it withdraws.';
COMMENT ON COLUMN publication.is_flagged IS 'At or over the operating point, as it states.';
COMMENT ON COLUMN publication.facts_digest IS 'SHA-256 of all that decides what it states; another one is another object.';
COMMENT ON COLUMN publication.content_digest IS 'SHA-256 of the object as it was sent last, times included. volatile';
COMMENT ON COLUMN publication.predecessor_uid IS 'The SR whose place it takes; null for a first one, and for a rejection.';
COMMENT ON COLUMN publication.test_system IS 'Name of the test system it was made for; null for a clinical one.';
COMMENT ON COLUMN publication.state IS 'sending (no answer yet) | published (the receiver said so) | failed | superseded | retracted | dropped (never arrived, and no longer wanted).';
COMMENT ON COLUMN publication.reason IS 'Why it failed: unreachable (nothing was sent) | no_answer (it may be there) | refused; else null.';
COMMENT ON COLUMN publication.message IS 'The receiver''s status, as a number; null without one.';
COMMENT ON COLUMN publication.n_attempts IS 'How often it was sent. volatile';
COMMENT ON COLUMN publication.changed_at IS 'When its state changed last, UTC. volatile';
