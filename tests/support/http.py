"""HTTP connections of a test's own."""

import ssl
from typing import Any, Final

import httpx

from shared.face.calls import LARGEST_BODY
from shared.http import Connections, HttpTransport

NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""By default httpx reads all certificates of the machine for each client."""


def plain_client(url: str = "", **options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - httpx's own options.
    """Make a client for plain http."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=NO_CERTIFICATES, **options)


class OwnTransport(HttpTransport):
    """A transport over connections of its own, which are closed with it."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._own = Connections(ssl_context)
        super().__init__(self._own, LARGEST_BODY)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._own.aclose()
