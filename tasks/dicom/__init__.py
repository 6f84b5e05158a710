"""The parts of the header reader: elements, values, text, pixel checks, functional groups."""
