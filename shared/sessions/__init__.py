"""The session record: its rules, and its rows in the store."""
