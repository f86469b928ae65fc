"""Everything that two functions use."""
