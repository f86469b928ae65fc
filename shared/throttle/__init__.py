"""Limits on how often a device, caller or address may ask, exact over all instances together."""
