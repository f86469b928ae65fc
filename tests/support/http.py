"""HTTP connections of a test's own."""

import ssl

from shared.face.calls import LARGEST_BODY
from shared.http import Connections, HttpTransport


class OwnTransport(HttpTransport):
    """A transport over connections of its own, which are closed with it."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._own = Connections(ssl_context)
        super().__init__(self._own, LARGEST_BODY)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._own.aclose()
