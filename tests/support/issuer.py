"""An OpenID Connect issuer on loopback, in plain HTTP."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from shared.text import Clock

AUDIENCE: Final = "api://liveness"
_CURVES: Final[dict[str, type[Any]]] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@cache
def private_key(name: str, algorithm: str = "RS256", bits: int = 2048) -> Any:  # noqa: ANN401 - RSA or EC.
    """The private key of a name for an algorithm; making one takes long, so that tests share them."""
    if curve := _CURVES.get(algorithm):
        return ec.generate_private_key(curve())
    return rsa.generate_private_key(65537, bits)


def public_jwk(key: Any, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - RSA or EC.
    """The public half of a key as a JWK."""
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    jwk = dict(kind.to_jwk(key.public_key(), as_dict=True))
    jwk.pop("key_ops", None)
    return jwk | {"use": "sig"} | members


class FakeIssuer:
    """Serves discovery and keys, and signs tokens with the key whose id is `kid`.

    It compresses for readers that allow it, and sets a cookie. `answers` makes other answers for a path; `calls`
    counts requests.
    """

    def __init__(self, clock: Clock, *, url: str | None = None, path: str = "") -> None:
        self.clock = clock
        self.url = url or ""
        self.path = path or urlsplit(self.url).path
        self.port = 0
        self.kid = "key-1"
        self.published: list[object] = [public_jwk(private_key("key-1"), kid="key-1")]
        self.answers: dict[str, Callable[[], web.StreamResponse]] = {}
        self.calls: Counter[str] = Counter()
        self.cookies_received: list[str] = []

    @property
    def discovery_path(self) -> str:
        return f"{self.path.removesuffix('/')}/.well-known/openid-configuration"

    def document(self) -> dict[str, Any]:
        base = self.url.removesuffix(self.path) if self.path else self.url
        return {"issuer": self.url, "jwks_uri": f"{base}/keys"}

    def rotate(self, kid: str) -> None:
        """Sign with another key from now on, and publish that one alone."""
        self.kid = kid
        self.published = [public_jwk(private_key(kid), kid=kid)]

    async def start(self) -> None:
        """Serve at a free port, or again at the one before."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._server = TestServer(app, port=self.port)
        await self._server.start_server(shutdown_timeout=0.1)
        self.port = self._server.port or 0
        self.url = self.url or f"http://127.0.0.1:{self.port}{self.path}"

    async def stop(self) -> None:
        """Be unreachable."""
        await self._server.close()

    def claims(self, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON.
        """The claims of a good token, with changes; None leaves a claim out."""
        now = self.clock() // 1000
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "anna", "iat": now, "nbf": now, "exp": now + 600}
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def token(self, **changed: Any) -> str:  # noqa: ANN401 - JSON.
        return self.signed(self.claims(**changed))

    def signed(
        self,
        claims: Mapping[str, Any],
        *,
        headers: Mapping[str, Any] | None = None,
        key: Any = None,  # noqa: ANN401 - whatever PyJWT takes.
        algorithm: str = "RS256",
    ) -> str:
        """A token with these claims, with the header fields of this issuer or others; None leaves one out."""
        fields = {"kid": self.kid} | dict(headers or {})
        payload = json.dumps(claims).encode()
        return jwt.PyJWS().encode(
            payload,
            private_key(self.kid) if key is None else key,
            algorithm,
            {name: value for name, value in fields.items() if value is not None},
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls[request.path] += 1
        self.cookies_received += request.cookies
        if answer := self.answers.get(request.path):
            return answer()
        if request.path not in (self.discovery_path, "/keys"):
            return web.Response(status=404)
        content = self.document() if request.path == self.discovery_path else {"keys": self.published}
        response = web.json_response(content)
        response.enable_compression()
        response.set_cookie("affinity", "server-1")
        return response


@asynccontextmanager
async def running_issuer(clock: Clock, *, path: str = "") -> AsyncIterator[FakeIssuer]:
    """Serve an issuer in plain HTTP; `path` is the end of its URL."""
    issuer = FakeIssuer(clock, path=path)
    await issuer.start()
    try:
        yield issuer
    finally:
        await issuer.stop()
