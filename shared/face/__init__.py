"""Azure Face: one canonical model, one pure module per API version, one HTTP client."""
