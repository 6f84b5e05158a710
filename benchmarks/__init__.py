"""What is measured, against what: `make bench`, or `python -m benchmarks 1 2` for some rows (docs/benchmarks.md)."""
