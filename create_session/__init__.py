"""POST /api/sessions: create a liveness session for a phone."""

from create_session.trigger import create_session_bp

__all__ = ["create_session_bp"]
