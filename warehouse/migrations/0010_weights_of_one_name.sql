-- A model is named by its digest where its scores are read. The macros that do so lie in the copy that readers have, too:
-- this step has it made anew, so that none filters by a name there still.

COMMENT ON COLUMN model.model_id IS 'Name of the model, such as ovf-phantom-1. Several weights may share one: model_digest tells them apart.';
COMMENT ON COLUMN audit.model_id IS 'Its id, which other weights may share.';
