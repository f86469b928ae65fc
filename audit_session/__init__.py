"""GET /api/sessions/{sessionId}/audit: the history of a session, for servers."""

from audit_session.trigger import audit_session_bp

__all__ = ["audit_session_bp"]
