-- `export_scores` says by its digest which weights gave a score (a name may mean several), and `audit_units` asks which ages
-- count before it takes a patient's first or last day. Both macros lie in the copy that readers have, too: this step has it
-- made anew.

COMMENT ON COLUMN model.model_digest IS 'SHA-256 of weights and config; exports say it beside the name.';
