"""The terminal event of a session, and the publishers that deliver it."""
