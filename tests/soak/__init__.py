"""A broker under load for half an hour, and one that is killed at random: `python -m tests.soak`."""
