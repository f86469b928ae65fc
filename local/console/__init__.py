"""The console page of the local run: a check, step by step, in a browser."""

from local.console.routes import Events, console_routes

__all__ = ["Events", "console_routes"]
