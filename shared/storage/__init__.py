"""The entity store: where everything that outlives a request is kept."""
