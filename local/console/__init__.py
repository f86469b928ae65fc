"""The console page of the local run: a check, step by step, in a browser."""
