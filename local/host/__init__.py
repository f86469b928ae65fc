"""A local Azure Functions host: serves a function app on this machine, with the real host's traps.

It copies what the real host does over loopback (host 4.1037, Python worker 4.34); `host.py` lists the known
differences. Azure's front end, which adds forwarding headers and limits of its own, is not part of it.
"""

from local.host.host import Host

__all__ = ["Host"]
