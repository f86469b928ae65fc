"""DELETE /api/sessions/{sessionId}: end a session and its token."""

from revoke_session.trigger import revoke_session_bp

__all__ = ["revoke_session_bp"]
