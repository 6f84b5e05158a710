"""How a hospital writes and keeps what it scanned: plans, series, tags, packaging."""
