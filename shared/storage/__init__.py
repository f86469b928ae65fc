"""The entity store: the state that outlives a request."""
