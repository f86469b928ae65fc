"""Fuzzers of the parsers: `python -m tests.fuzz`."""
