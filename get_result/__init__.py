"""GET /api/sessions/{sessionId}: read the result of a session."""

from get_result.trigger import get_result_bp

__all__ = ["get_result_bp"]
