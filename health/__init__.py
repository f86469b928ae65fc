"""GET /api/health and /api/ready: whether the app is alive, and whether what it needs answers."""

from health.trigger import health_bp

__all__ = ["health_bp"]
