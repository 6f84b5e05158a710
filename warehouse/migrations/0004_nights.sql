-- Nightly screening: nights, the watermark of each archive, alerts, the canary, and what was reported before.
-- None of it is a result: two warehouses with the same scores may differ in all of it.

CREATE TABLE night (
    run_id VARCHAR NOT NULL,
    archive_key VARCHAR NOT NULL,
    arrived_since TIMESTAMP,
    arrived_until TIMESTAMP NOT NULL,
    window_ends_at TIMESTAMP,
    n_new BIGINT NOT NULL,
    n_changed BIGINT NOT NULL,
    n_carried BIGINT NOT NULL,
    n_left BIGINT NOT NULL,
    n_scored BIGINT NOT NULL,
    n_flagged BIGINT NOT NULL,
    n_failed BIGINT NOT NULL,
    duration_s DOUBLE NOT NULL,
    precision VARCHAR NOT NULL,
    canary_difference DOUBLE NOT NULL,
    cusum_up DOUBLE,
    cusum_down DOUBLE
);
COMMENT ON TABLE night IS 'One night of screening that landed. Key: run_id. The whole table is volatile.';
COMMENT ON COLUMN night.run_id IS 'Run of the night. volatile';
COMMENT ON COLUMN night.archive_key IS 'Pseudonym of the archive. volatile';
COMMENT ON COLUMN night.arrived_since IS 'Watermark before the night, UTC; null at the first night. volatile';
COMMENT ON COLUMN night.arrived_until IS 'Watermark after the night, UTC. volatile';
COMMENT ON COLUMN night.window_ends_at IS 'When the window closed, UTC; null without one. volatile';
COMMENT ON COLUMN night.n_new IS 'Studies that had not been seen before. volatile';
COMMENT ON COLUMN night.n_changed IS 'Known studies with something late, sent again or corrected. volatile';
COMMENT ON COLUMN night.n_carried IS 'Studies left over from earlier nights, taken up first. volatile';
COMMENT ON COLUMN night.n_left IS 'Studies that the window left for the next night. volatile';
COMMENT ON COLUMN night.n_scored IS 'Studies scored in this night. volatile';
COMMENT ON COLUMN night.n_flagged IS 'Of them flagged. volatile';
COMMENT ON COLUMN night.n_failed IS 'Series of the archive that stood as failed at the end. volatile';
COMMENT ON COLUMN night.duration_s IS 'Length of the night by a monotonic clock, in seconds. volatile';
COMMENT ON COLUMN night.precision IS 'Precision that the canary was scored with. volatile';
COMMENT ON COLUMN night.canary_difference IS 'Largest difference of the canary, as a share of its tolerance. volatile';
COMMENT ON COLUMN night.cusum_up IS 'CUSUM for more flags at the end of the night, a log likelihood ratio; null without a baseline. volatile';
COMMENT ON COLUMN night.cusum_down IS 'CUSUM for fewer flags at the end of the night; null without a baseline. volatile';

CREATE TABLE watermark (
    archive_key VARCHAR NOT NULL,
    arrived_until TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE watermark IS 'Up to when the arrivals of an archive have been taken in. Key: archive_key. Moved when a night has landed. The whole table is volatile.';
COMMENT ON COLUMN watermark.archive_key IS 'Pseudonym of the archive. volatile';
COMMENT ON COLUMN watermark.arrived_until IS 'What had arrived by then is in the warehouse, UTC. volatile';
COMMENT ON COLUMN watermark.run_id IS 'Night that moved it. volatile';

CREATE TABLE night_alert (
    run_id VARCHAR NOT NULL,
    signal VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    n BIGINT NOT NULL,
    observed DOUBLE NOT NULL,
    expected DOUBLE NOT NULL,
    low DOUBLE,
    high DOUBLE
);
COMMENT ON TABLE night_alert IS 'Something that changed against the baseline. Key: run_id, signal, subject. The whole table is volatile.';
COMMENT ON COLUMN night_alert.run_id IS 'Night that found it. volatile';
COMMENT ON COLUMN night_alert.signal IS 'flag_rate | flag_cusum | score_distribution | domain_distance | exclusions volatile';
COMMENT ON COLUMN night_alert.subject IS 'Whom it is about, such as a scanner or a kernel; all. volatile';
COMMENT ON COLUMN night_alert.message IS 'What changed, and by how much. volatile';
COMMENT ON COLUMN night_alert.n IS 'Scans or studies that were judged. volatile';
COMMENT ON COLUMN night_alert.observed IS 'What was found. volatile';
COMMENT ON COLUMN night_alert.expected IS 'What the baseline has. volatile';
COMMENT ON COLUMN night_alert.low IS 'Lowest that chance explains; null where there is no such limit. volatile';
COMMENT ON COLUMN night_alert.high IS 'Highest that chance explains; null where there is no such limit. volatile';

CREATE TABLE canary (
    model_digest VARCHAR NOT NULL,
    storage_recipe VARCHAR NOT NULL,
    view_recipe VARCHAR NOT NULL,
    precision VARCHAR NOT NULL,
    golden_case VARCHAR NOT NULL,
    golden_digest VARCHAR NOT NULL,
    logit DOUBLE NOT NULL,
    slice_logits FLOAT[] NOT NULL,
    grey_mean FLOAT[] NOT NULL,
    device VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    enrolled_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE canary IS 'What a model says of one case of the golden set, as enrolled. Key: model_digest, storage_recipe, view_recipe, precision, golden_case. The whole table is volatile.';
COMMENT ON COLUMN canary.model_digest IS 'SHA-256 of the model. volatile';
COMMENT ON COLUMN canary.storage_recipe IS 'How the slab is cut and stored. volatile';
COMMENT ON COLUMN canary.view_recipe IS 'How the model''s images are cut from the slab. volatile';
COMMENT ON COLUMN canary.precision IS 'Precision of the network''s body: fp32 | bf16 | fp16. volatile';
COMMENT ON COLUMN canary.golden_case IS 'Name of the case. volatile';
COMMENT ON COLUMN canary.golden_digest IS 'SHA-256 of the files of the golden set. volatile';
COMMENT ON COLUMN canary.logit IS 'The model''s answer for the scan. volatile';
COMMENT ON COLUMN canary.slice_logits IS 'Logit of each image. volatile';
COMMENT ON COLUMN canary.grey_mean IS 'Mean grey value of each image that the model read, 0 to 255. volatile';
COMMENT ON COLUMN canary.device IS 'cpu | cuda, where it was enrolled. volatile';
COMMENT ON COLUMN canary.code_version IS 'Version of this program that enrolled it. volatile';
COMMENT ON COLUMN canary.enrolled_at IS 'When it was enrolled, UTC. volatile';

CREATE TABLE night_problem (
    archive_key VARCHAR NOT NULL,
    series_key VARCHAR NOT NULL,
    series_revision VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    n BIGINT NOT NULL,
    first_reported_at TIMESTAMP NOT NULL,
    last_reported_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE night_problem IS 'Something damaged that a morning page has told of: told when it is new, then once a week. Key: archive_key, series_key, series_revision, reason. The whole table is volatile.';
COMMENT ON COLUMN night_problem.archive_key IS 'Pseudonym of the archive. volatile';
COMMENT ON COLUMN night_problem.series_key IS 'Pseudonym of the series; empty for files that belong to none. volatile';
COMMENT ON COLUMN night_problem.series_revision IS 'Revision of the series: the same contents again are no news. Empty for files. volatile';
COMMENT ON COLUMN night_problem.reason IS 'Reason code, with its detail behind a colon. volatile';
COMMENT ON COLUMN night_problem.n IS '1 for a series; the number of files for files that belong to none. volatile';
COMMENT ON COLUMN night_problem.first_reported_at IS 'When it was told first, UTC. volatile';
COMMENT ON COLUMN night_problem.last_reported_at IS 'When it was told last, UTC. volatile';
