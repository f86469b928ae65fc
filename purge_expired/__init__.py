"""Timer trigger: delete what is kept no longer."""

from purge_expired.trigger import purge_expired_bp

__all__ = ["purge_expired_bp"]
