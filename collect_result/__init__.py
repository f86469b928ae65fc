"""Queue trigger: publish the event of a session that ended, whether or not its phone comes back."""

from collect_result.trigger import collect_result_bp

__all__ = ["collect_result_bp"]
