"""Pictures of the pages: inline SVG, drawn from numbers, without a drawing library."""
