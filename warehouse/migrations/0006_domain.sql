CREATE TABLE domain_limit (
    model_digest VARCHAR NOT NULL,
    limit_id VARCHAR NOT NULL,
    domain_id VARCHAR NOT NULL,
    limit_distance DOUBLE,
    rule VARCHAR NOT NULL,
    fitted_on VARCHAR NOT NULL,
    is_current BOOLEAN NOT NULL
);
COMMENT ON TABLE domain_limit IS 'How far from what a model has seen a scan may lie. Key: model_digest, limit_id. Changing it scores nothing again.';
COMMENT ON COLUMN domain_limit.model_digest IS 'SHA-256 of the model.';
COMMENT ON COLUMN domain_limit.limit_id IS 'Name of the limit: shipped, or one of this hospital.';
COMMENT ON COLUMN domain_limit.domain_id IS 'The yardstick: digest of the mean and spread of the features that distances are measured from.';
COMMENT ON COLUMN domain_limit.limit_distance IS 'A score farther away is not evaluable; null: no limit.';
COMMENT ON COLUMN domain_limit.rule IS 'How the limit was chosen.';
COMMENT ON COLUMN domain_limit.fitted_on IS 'The scans that the yardstick was fitted on.';
COMMENT ON COLUMN domain_limit.is_current IS 'The one that counts; one per model.';

CREATE TABLE domain_distance (
    series_key VARCHAR NOT NULL,
    series_revision VARCHAR NOT NULL,
    storage_recipe VARCHAR NOT NULL,
    view_recipe VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL,
    domain_id VARCHAR NOT NULL,
    distance DOUBLE NOT NULL
);
COMMENT ON TABLE domain_distance IS 'How far a score lies from what its model has seen. Key: series_key, series_revision, storage_recipe, view_recipe, model_digest, domain_id. Computed from the features of the score; no row for a model without a yardstick.';
COMMENT ON COLUMN domain_distance.series_key IS 'Pseudonym of the series.';
COMMENT ON COLUMN domain_distance.series_revision IS 'Revision of the series.';
COMMENT ON COLUMN domain_distance.storage_recipe IS 'How the slab is cut and stored.';
COMMENT ON COLUMN domain_distance.view_recipe IS 'How the model''s images are cut from the slab.';
COMMENT ON COLUMN domain_distance.model_digest IS 'SHA-256 of the model.';
COMMENT ON COLUMN domain_distance.domain_id IS 'The yardstick; distances by the same one can be compared.';
COMMENT ON COLUMN domain_distance.distance IS 'Mahalanobis distance, median over the scan''s images; 1 for an average image of the scans that the yardstick was fitted on.';
