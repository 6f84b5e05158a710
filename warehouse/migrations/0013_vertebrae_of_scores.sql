-- A model that reads the vertebrae one by one cannot judge a scan that shows none.

ALTER TABLE score ADD COLUMN n_vertebrae BIGINT;
COMMENT ON COLUMN score.n_vertebrae IS 'Whole vertebrae that the model heard; null: of a model that does not read them one by one, or of before this was kept.';
