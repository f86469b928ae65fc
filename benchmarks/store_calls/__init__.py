"""Counts the calls of store and queue that one create or poll makes."""
