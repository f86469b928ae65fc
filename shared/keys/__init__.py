"""Secrets and tokens: reading them, caching them, and sending them to Face."""
