-- Which slice a score's image shows is counted in the slab that the view has straightened, where it follows the spine.

COMMENT ON COLUMN score.slice_index IS 'Slab slice of each image, 0 = rightmost; where the view follows the spine, of the slab straightened along it.';
