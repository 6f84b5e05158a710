-- The tables of the warehouse. One frozen dataclass of warehouse/records.py per table; a test compares the two.
-- Every table and column says its grain, unit and DICOM attribute in a COMMENT; docs/warehouse.md is made from them.
-- The word "volatile" in a comment marks what two runs over the same archive may differ in.
--
-- No PRIMARY KEY: with two 32-character keys and 4 million rows it made the file 3.6 times larger, tripled the
-- writer's memory (1.1 GB against 0.3) and saved no time. There is one writer, landing inserts by key
-- (warehouse/tables.py states the keys), and checks/duplicate_keys.sql watches. No foreign keys either: they block
-- updates of parents; checks/orphan_*.sql find orphans.

CREATE TABLE run (
    run_id VARCHAR NOT NULL,
    archive_key VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    host VARCHAR NOT NULL,
    pid BIGINT NOT NULL,
    code_version VARCHAR NOT NULL,
    settings_digest VARCHAR NOT NULL,
    profile VARCHAR NOT NULL,
    profile_digest VARCHAR NOT NULL,
    reader_version VARCHAR NOT NULL,
    storage_recipe VARCHAR NOT NULL,
    view_recipe VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL
);
COMMENT ON TABLE run IS 'One writing run, such as a sweep. Key: run_id. The whole table is volatile.';
COMMENT ON COLUMN run.run_id IS 'Random name of the run. volatile';
COMMENT ON COLUMN run.archive_key IS 'Pseudonym of the archive it read. volatile';
COMMENT ON COLUMN run.site IS 'Name of the site, as given by the operator. volatile';
COMMENT ON COLUMN run.kind IS 'sweep | rescore | ... volatile';
COMMENT ON COLUMN run.state IS 'running | finished | interrupted. A run that was killed stays "running" until the next one marks it. volatile';
COMMENT ON COLUMN run.started_at IS 'Start, UTC. The newest run decides which profile, reader and recipes count. volatile';
COMMENT ON COLUMN run.finished_at IS 'End, UTC; null while it runs. volatile';
COMMENT ON COLUMN run.host IS 'Host it ran on. volatile';
COMMENT ON COLUMN run.pid IS 'Process id of its driver. volatile';
COMMENT ON COLUMN run.code_version IS 'Version of this program. volatile';
COMMENT ON COLUMN run.settings_digest IS 'Digest of all settings that can change a result. volatile';
COMMENT ON COLUMN run.profile IS 'Name of the selection profile: strict | lenient. volatile';
COMMENT ON COLUMN run.profile_digest IS 'Digest of every threshold and cohort option of the profile. volatile';
COMMENT ON COLUMN run.reader_version IS 'Version of header reading and selection, with the installed decoders. volatile';
COMMENT ON COLUMN run.storage_recipe IS 'How slabs are stored. volatile';
COMMENT ON COLUMN run.view_recipe IS 'How the model''s images are cut from a slab. volatile';
COMMENT ON COLUMN run.model_digest IS 'SHA-256 of the model''s weights and config. volatile';

CREATE TABLE archive (
    archive_key VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    n_files_found BIGINT NOT NULL,
    n_studies_found BIGINT NOT NULL,
    n_series_found BIGINT NOT NULL,
    is_crawl_complete BOOLEAN NOT NULL
);
COMMENT ON TABLE archive IS 'One archive that was crawled, as the last crawl found it. Key: archive_key. Replaced by each crawl.';
COMMENT ON COLUMN archive.archive_key IS 'Pseudonym of the archive''s location.';
COMMENT ON COLUMN archive.site IS 'Name of the site, as given by the operator.';
COMMENT ON COLUMN archive.kind IS 'folder | zip | ...';
COMMENT ON COLUMN archive.n_files_found IS 'Files found, members of zips included.';
COMMENT ON COLUMN archive.n_studies_found IS 'Studies found, by StudyInstanceUID (0020,000D).';
COMMENT ON COLUMN archive.n_series_found IS 'Series found, by SeriesInstanceUID (0020,000E); each part of a split series counts.';
COMMENT ON COLUMN archive.is_crawl_complete IS 'False while a crawl is open: the counts may still grow.';

CREATE TABLE file_count (
    archive_key VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    n_files BIGINT NOT NULL
);
COMMENT ON TABLE file_count IS 'Files of an archive that belong to no study, counted. Key: archive_key, outcome, reason. Replaced together with the row in archive.';
COMMENT ON COLUMN file_count.archive_key IS 'Pseudonym of the archive.';
COMMENT ON COLUMN file_count.outcome IS 'excluded | quarantined | failed | pending';
COMMENT ON COLUMN file_count.reason IS 'Reason code, with its detail behind a colon.';
COMMENT ON COLUMN file_count.n_files IS 'Number of files.';

CREATE TABLE study (
    archive_key VARCHAR NOT NULL,
    study_key VARCHAR NOT NULL,
    study_revision VARCHAR NOT NULL,
    patient_key VARCHAR,
    site VARCHAR NOT NULL,
    study_date DATE,
    age_years BIGINT,
    sex VARCHAR,
    n_series BIGINT NOT NULL,
    n_files BIGINT NOT NULL,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE study IS 'A study as it is now in one archive. Key: archive_key, study_key. Replaced when it changes.';
COMMENT ON COLUMN study.archive_key IS 'Pseudonym of the archive.';
COMMENT ON COLUMN study.study_key IS 'Pseudonym of StudyInstanceUID (0020,000D).';
COMMENT ON COLUMN study.study_revision IS 'Digest of its sorted (series_key, series_revision): the state that counts.';
COMMENT ON COLUMN study.patient_key IS 'Keyed pseudonym of site, issuer (0010,0021) and PatientID (0010,0020); null without PatientID and after "ovf forget".';
COMMENT ON COLUMN study.site IS 'Name of the site, as given by the operator.';
COMMENT ON COLUMN study.study_date IS 'StudyDate (0008,0020); null when absent or impossible.';
COMMENT ON COLUMN study.age_years IS 'Age at the study in whole years, from PatientBirthDate (0010,0030) or PatientAge (0010,1010); null when unknown.';
COMMENT ON COLUMN study.sex IS 'PatientSex (0010,0040): F | M | O; null when unknown.';
COMMENT ON COLUMN study.n_series IS 'Series of the study, each part of a split series counted.';
COMMENT ON COLUMN study.n_files IS 'Files of the study in this archive, duplicates included.';
COMMENT ON COLUMN study.run_id IS 'Run that wrote the row. volatile';

CREATE TABLE series (
    series_key VARCHAR NOT NULL,
    series_revision VARCHAR NOT NULL,
    study_key VARCHAR NOT NULL,
    split_label VARCHAR,
    modality VARCHAR,
    sop_class VARCHAR,
    image_type VARCHAR,
    plane VARCHAR,
    transfer_syntax VARCHAR,
    manufacturer VARCHAR,
    model_name VARCHAR,
    convolution_kernel VARCHAR,
    kvp DOUBLE,
    slice_thickness_mm DOUBLE,
    slice_spacing_mm DOUBLE,
    pixel_spacing_mm DOUBLE,
    rows BIGINT,
    columns BIGINT,
    coverage_mm DOUBLE,
    patient_position VARCHAR,
    body_part VARCHAR,
    has_contrast BOOLEAN,
    is_lossy BOOLEAN NOT NULL,
    n_instances BIGINT NOT NULL,
    n_files BIGINT NOT NULL,
    n_bytes BIGINT NOT NULL
);
COMMENT ON TABLE series IS 'One stack of instances: a series, or a part of one that was split. Key: series_key, series_revision. History stays; current_series shows what counts.';
COMMENT ON COLUMN series.series_key IS 'Pseudonym of SeriesInstanceUID (0020,000E) and split label.';
COMMENT ON COLUMN series.series_revision IS 'Digest of its sorted SOPInstanceUIDs (0008,0018) and contents.';
COMMENT ON COLUMN series.study_key IS 'Pseudonym of StudyInstanceUID (0020,000D).';
COMMENT ON COLUMN series.split_label IS 'Why and where one SeriesInstanceUID was split, such as kernel=B70f; null when whole.';
COMMENT ON COLUMN series.modality IS 'Modality (0008,0060).';
COMMENT ON COLUMN series.sop_class IS 'SOPClassUID (0008,0016).';
COMMENT ON COLUMN series.image_type IS 'ImageType (0008,0008), joined by backslashes.';
COMMENT ON COLUMN series.plane IS 'axial | sagittal | coronal | oblique, from ImageOrientationPatient (0020,0037).';
COMMENT ON COLUMN series.transfer_syntax IS 'TransferSyntaxUID (0002,0010).';
COMMENT ON COLUMN series.manufacturer IS 'Manufacturer (0008,0070).';
COMMENT ON COLUMN series.model_name IS 'ManufacturerModelName (0008,1090).';
COMMENT ON COLUMN series.convolution_kernel IS 'ConvolutionKernel (0018,1210).';
COMMENT ON COLUMN series.kvp IS 'KVP (0018,0060), in kV.';
COMMENT ON COLUMN series.slice_thickness_mm IS 'SliceThickness (0018,0050), in mm.';
COMMENT ON COLUMN series.slice_spacing_mm IS 'Median distance of neighbouring slices along their normal, in mm, from ImagePositionPatient (0020,0032).';
COMMENT ON COLUMN series.pixel_spacing_mm IS 'Row spacing of PixelSpacing (0028,0030), in mm.';
COMMENT ON COLUMN series.rows IS 'Rows (0028,0010), in pixels.';
COMMENT ON COLUMN series.columns IS 'Columns (0028,0011), in pixels.';
COMMENT ON COLUMN series.coverage_mm IS 'First to last slice along the normal, in mm.';
COMMENT ON COLUMN series.patient_position IS 'PatientPosition (0018,5100), such as HFS.';
COMMENT ON COLUMN series.body_part IS 'BodyPartExamined (0018,0015).';
COMMENT ON COLUMN series.has_contrast IS 'ContrastBolusAgent (0018,0010) is filled; null when unknown.';
COMMENT ON COLUMN series.is_lossy IS 'LossyImageCompression (0028,2110) is 01.';
COMMENT ON COLUMN series.n_instances IS 'SOP instances.';
COMMENT ON COLUMN series.n_files IS 'Files, duplicates included, as last seen.';
COMMENT ON COLUMN series.n_bytes IS 'Bytes of its files, as last seen.';

CREATE TABLE selection (
    study_key VARCHAR NOT NULL,
    study_revision VARCHAR NOT NULL,
    series_key VARCHAR NOT NULL,
    series_revision VARCHAR NOT NULL,
    profile_digest VARCHAR NOT NULL,
    reader_version VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    reason VARCHAR,
    message VARCHAR,
    rank BIGINT,
    rule VARCHAR,
    n_checks_passed BIGINT NOT NULL,
    checks VARCHAR NOT NULL,
    flags VARCHAR[] NOT NULL
);
COMMENT ON TABLE selection IS 'What selection decided about one series of one revision of a study. Key: study_key, study_revision, series_key, profile_digest, reader_version. Failed and pending rows are replaced, others stay.';
COMMENT ON COLUMN selection.study_key IS 'Pseudonym of StudyInstanceUID (0020,000D).';
COMMENT ON COLUMN selection.study_revision IS 'Revision of the study that was decided on.';
COMMENT ON COLUMN selection.series_key IS 'Pseudonym of the series.';
COMMENT ON COLUMN selection.series_revision IS 'Revision of the series.';
COMMENT ON COLUMN selection.profile_digest IS 'Digest of every threshold and cohort option of the profile.';
COMMENT ON COLUMN selection.reader_version IS 'Version of header reading and selection, with the installed decoders.';
COMMENT ON COLUMN selection.outcome IS 'eligible | excluded | quarantined | failed | pending';
COMMENT ON COLUMN selection.reason IS 'Reason code, with its detail behind a colon; null when eligible.';
COMMENT ON COLUMN selection.message IS 'The reason in words, from a fixed template; null when eligible.';
COMMENT ON COLUMN selection.rank IS 'Order in which eligible series are tried, 1 first; null when not eligible.';
COMMENT ON COLUMN selection.rule IS 'The rule that set the rank.';
COMMENT ON COLUMN selection.n_checks_passed IS 'How many named checks it passed; says how close an excluded series came.';
COMMENT ON COLUMN selection.checks IS 'JSON list: check, passed, measured, limit, unit.';
COMMENT ON COLUMN selection.flags IS 'Remarks on the series; they change no outcome.';

CREATE TABLE slab (
    series_key VARCHAR NOT NULL,
    series_revision VARCHAR NOT NULL,
    storage_recipe VARCHAR NOT NULL,
    n_slices BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    columns BIGINT NOT NULL,
    pixel_mm DOUBLE NOT NULL,
    slice_spacing_mm DOUBLE NOT NULL,
    middle_x_mm DOUBLE NOT NULL,
    top_z_mm DOUBLE NOT NULL,
    anterior_y_mm DOUBLE NOT NULL,
    lateral_extent_mm DOUBLE,
    midline_method VARCHAR NOT NULL,
    spine_mm DOUBLE,
    n_bytes BIGINT,
    is_kept BOOLEAN NOT NULL,
    flags VARCHAR[] NOT NULL
);
COMMENT ON TABLE slab IS 'Geometry of the sagittal slab of one series. Key: series_key, series_revision, storage_recipe.';
COMMENT ON COLUMN slab.series_key IS 'Pseudonym of the series.';
COMMENT ON COLUMN slab.series_revision IS 'Revision of the series.';
COMMENT ON COLUMN slab.storage_recipe IS 'How the slab is cut and stored.';
COMMENT ON COLUMN slab.n_slices IS 'Sagittal slices, right to left.';
COMMENT ON COLUMN slab.rows IS 'Rows, superior to inferior, in pixels.';
COMMENT ON COLUMN slab.columns IS 'Columns, anterior to posterior, in pixels.';
COMMENT ON COLUMN slab.pixel_mm IS 'Side of a pixel, in mm; equal in both directions.';
COMMENT ON COLUMN slab.slice_spacing_mm IS 'Distance of neighbouring slices, in mm.';
COMMENT ON COLUMN slab.middle_x_mm IS 'Patient x (LPS) of the middle of the slab, in mm.';
COMMENT ON COLUMN slab.top_z_mm IS 'Patient z (LPS) of the centre of the first row, in mm.';
COMMENT ON COLUMN slab.anterior_y_mm IS 'Patient y (LPS) of the centre of the first column, in mm.';
COMMENT ON COLUMN slab.lateral_extent_mm IS 'Skin to skin, in mm; null when skin is not seen on both sides.';
COMMENT ON COLUMN slab.midline_method IS 'How the middle was found: skin | canal | native.';
COMMENT ON COLUMN slab.spine_mm IS 'Craniocaudal length of spine seen, in mm; null when not measured.';
COMMENT ON COLUMN slab.n_bytes IS 'Bytes of the slab''s file; null when it was not kept.';
COMMENT ON COLUMN slab.is_kept IS 'The slab''s file was kept.';
COMMENT ON COLUMN slab.flags IS 'Remarks from the pixels, such as qc_metal.';

CREATE TABLE rejection (
    series_key VARCHAR NOT NULL,
    series_revision VARCHAR NOT NULL,
    profile_digest VARCHAR NOT NULL,
    reader_version VARCHAR NOT NULL,
    storage_recipe VARCHAR NOT NULL,
    view_recipe VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    message VARCHAR NOT NULL
);
COMMENT ON TABLE rejection IS 'An eligible series that could not be scored. Key: series_key, series_revision, profile_digest, reader_version, storage_recipe, view_recipe, model_digest. A failed row goes when the series is decided.';
COMMENT ON COLUMN rejection.series_key IS 'Pseudonym of the series.';
COMMENT ON COLUMN rejection.series_revision IS 'Revision of the series.';
COMMENT ON COLUMN rejection.profile_digest IS 'Digest of the selection profile.';
COMMENT ON COLUMN rejection.reader_version IS 'Version of header reading and selection, with the installed decoders.';
COMMENT ON COLUMN rejection.storage_recipe IS 'How the slab is cut and stored.';
COMMENT ON COLUMN rejection.view_recipe IS 'How the model''s images are cut from a slab.';
COMMENT ON COLUMN rejection.model_digest IS 'SHA-256 of the model.';
COMMENT ON COLUMN rejection.stage IS 'Where it ended: slab | score.';
COMMENT ON COLUMN rejection.outcome IS 'excluded | quarantined | failed';
COMMENT ON COLUMN rejection.reason IS 'Reason code, with its detail behind a colon.';
COMMENT ON COLUMN rejection.message IS 'The reason in words, from a fixed template.';

CREATE TABLE model (
    model_digest VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL,
    architecture VARCHAR NOT NULL,
    is_simulated_only BOOLEAN NOT NULL,
    card VARCHAR NOT NULL
);
COMMENT ON TABLE model IS 'A model that has scored something here. Key: model_digest.';
COMMENT ON COLUMN model.model_digest IS 'SHA-256 of weights and config.';
COMMENT ON COLUMN model.model_id IS 'Name of the model, such as ovf-phantom-1.';
COMMENT ON COLUMN model.architecture IS 'Name of the network and its pooling.';
COMMENT ON COLUMN model.is_simulated_only IS 'It has seen simulated scans only.';
COMMENT ON COLUMN model.card IS 'Its model card, as text.';

CREATE TABLE operating_point (
    model_digest VARCHAR NOT NULL,
    operating_point_id VARCHAR NOT NULL,
    calibration_slope DOUBLE NOT NULL,
    calibration_intercept DOUBLE NOT NULL,
    threshold DOUBLE NOT NULL,
    rule VARCHAR NOT NULL,
    is_current BOOLEAN NOT NULL
);
COMMENT ON TABLE operating_point IS 'Calibration and threshold of a model. Key: model_digest, operating_point_id. Changing it scores nothing again.';
COMMENT ON COLUMN operating_point.model_digest IS 'SHA-256 of the model.';
COMMENT ON COLUMN operating_point.operating_point_id IS 'Name of the operating point.';
COMMENT ON COLUMN operating_point.calibration_slope IS 'a in probability = 1 / (1 + exp(-(a * logit + b))).';
COMMENT ON COLUMN operating_point.calibration_intercept IS 'b in probability = 1 / (1 + exp(-(a * logit + b))).';
COMMENT ON COLUMN operating_point.threshold IS 'Flagged from this calibrated probability on.';
COMMENT ON COLUMN operating_point.rule IS 'How the threshold was chosen.';
COMMENT ON COLUMN operating_point.is_current IS 'The one that counts; one per model.';

CREATE TABLE score (
    series_key VARCHAR NOT NULL,
    series_revision VARCHAR NOT NULL,
    storage_recipe VARCHAR NOT NULL,
    view_recipe VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL,
    logit DOUBLE NOT NULL,
    n_slices BIGINT NOT NULL,
    slice_index INTEGER[] NOT NULL,
    tile_index INTEGER[] NOT NULL,
    slice_logits FLOAT[] NOT NULL,
    slice_features FLOAT[] NOT NULL,
    precision VARCHAR NOT NULL,
    device VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    settings_digest VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    scored_at TIMESTAMP NOT NULL,
    duration_s DOUBLE NOT NULL
);
COMMENT ON TABLE score IS 'What a model said of one series, raw. Key: series_key, series_revision, storage_recipe, view_recipe, model_digest. Never changed.';
COMMENT ON COLUMN score.series_key IS 'Pseudonym of the series.';
COMMENT ON COLUMN score.series_revision IS 'Revision of the series.';
COMMENT ON COLUMN score.storage_recipe IS 'How the slab is cut and stored.';
COMMENT ON COLUMN score.view_recipe IS 'How the model''s images are cut from the slab.';
COMMENT ON COLUMN score.model_digest IS 'SHA-256 of the model.';
COMMENT ON COLUMN score.logit IS 'The model''s raw answer for the scan, before calibration.';
COMMENT ON COLUMN score.n_slices IS 'Images the model read.';
COMMENT ON COLUMN score.slice_index IS 'Slab slice of each image, 0 = rightmost.';
COMMENT ON COLUMN score.tile_index IS 'Tile down the spine of each image, 0 = topmost.';
COMMENT ON COLUMN score.slice_logits IS 'Logit of each image; fp32, as computed.';
COMMENT ON COLUMN score.slice_features IS '32 features per image, one image after another; fp32, as computed.';
COMMENT ON COLUMN score.precision IS 'Precision of the network''s body: fp32 | bf16 | fp16.';
COMMENT ON COLUMN score.device IS 'cpu | cuda. volatile';
COMMENT ON COLUMN score.code_version IS 'Version of this program.';
COMMENT ON COLUMN score.settings_digest IS 'Digest of all settings that can change a result.';
COMMENT ON COLUMN score.run_id IS 'Run that wrote the row. volatile';
COMMENT ON COLUMN score.scored_at IS 'When it was scored, UTC. volatile';
COMMENT ON COLUMN score.duration_s IS 'Time its batch took, shared among its scans, in seconds. volatile';

CREATE TABLE forgotten (
    kind VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    forgotten_on DATE NOT NULL
);
COMMENT ON TABLE forgotten IS 'Tombstones of erased patients: what carries one of these keys is not stored again. Key: kind, key.';
COMMENT ON COLUMN forgotten.kind IS 'patient | study | series';
COMMENT ON COLUMN forgotten.key IS 'The pseudonym.';
COMMENT ON COLUMN forgotten.forgotten_on IS 'Day of the erasure, UTC. volatile';

CREATE TABLE store_stamp (
    warehouse_id VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    key_id VARCHAR
);
COMMENT ON TABLE store_stamp IS 'One row: which state this file is in. Compared with the ledger beside the file. The whole table is volatile.';
COMMENT ON COLUMN store_stamp.warehouse_id IS 'Random name given at creation. volatile';
COMMENT ON COLUMN store_stamp.sequence IS 'Transactions committed since creation. volatile';
COMMENT ON COLUMN store_stamp.key_id IS 'Which pseudonymisation key its keys were made with; null before the first landing. volatile';
INSERT INTO store_stamp VALUES (uuid()::VARCHAR, 0, NULL);

CREATE TABLE installed_views (
    digest VARCHAR NOT NULL
);
COMMENT ON TABLE installed_views IS 'One row: digest of the views in this file, so that they are renewed when the program brings others. The whole table is volatile.';
COMMENT ON COLUMN installed_views.digest IS 'SHA-256 of the texts of warehouse/views/*.sql. volatile';
