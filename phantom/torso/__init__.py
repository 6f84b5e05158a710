"""The body around the column: outline, organs, limbs, table, and how it lies."""
