"""The commands of an operator: `python -m ops`. They run against a deployed broker, or a local one."""
