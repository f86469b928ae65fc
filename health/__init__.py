"""GET /api/health and /api/ready: whether the app runs, and whether its dependencies answer."""

from health.trigger import health_bp

__all__ = ["health_bp"]
