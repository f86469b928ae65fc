"""Any other path under /api: 404 or 405 in the contract's shape."""

from unknown_route.trigger import unknown_route_bp

__all__ = ["unknown_route_bp"]
