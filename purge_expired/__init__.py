"""Timer trigger: delete expired rows."""

from purge_expired.trigger import purge_expired_bp

__all__ = ["purge_expired_bp"]
