"""What creates and polls ask of the store, beside one bare read of a row."""
