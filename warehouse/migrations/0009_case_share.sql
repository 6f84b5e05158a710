-- A probability holds for a share of cases: that of the scans which a model was trained, or calibrated, on.

ALTER TABLE operating_point ADD COLUMN case_share DOUBLE;
COMMENT ON COLUMN operating_point.case_share IS 'Share of cases among the scans that a probability holds for; null: not told.';
