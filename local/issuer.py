"""An OpenID Connect issuer for this machine, which gives a token to every caller: discovery, keys, and tokens."""

from collections.abc import Sequence
from typing import Final, TypeGuard

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local.loopback import only_this_machine
from shared.access import OPERATE
from shared.text import CLIENT_REFERENCE, Clock, system_clock

AUDIENCE: Final = "api://liveness-local"
"""The `aud` of the tokens."""

LIFETIME_SECONDS: Final = 3600

_KEY_ID: Final = "local-key"


class LocalIssuer:
    """Serves on loopback, with a key of its own that ends with the process. `clock` dates its tokens."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._key = rsa.generate_private_key(65537, 2048)
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Listen, on a free port unless one is given; raises `OSError` if the port is taken."""
        app = web.Application(middlewares=[only_this_machine()])
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/keys", self._keys),
                web.post("/token", self.answer_token),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close the socket and the connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    def token(self, subject: str, *, client_reference: str | None = None, roles: Sequence[str] = ()) -> str:
        """Make a token for a person or a server; with `client_reference` it is a grant for that transaction."""
        now = self._clock() // 1000
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "client_reference": client_reference,
            "roles": list(roles),
        }
        present = {name: value for name, value in claims.items() if value}
        return jwt.encode(present, self._key, algorithm="RS256", headers={"kid": _KEY_ID})

    def introduction(self) -> list[str]:
        """The commands that get a token for each kind of caller."""
        ask = f"curl -sw '\\n' {self.url}/token -d sub="
        return [
            f"  person     {ask}anna",
            f"  grant      {ask}anna -d client_reference=order:4711",
            f"  server     {ask}shop -d role={OPERATE}",
            "             send the access_token as: Authorization: Bearer ...",
        ]

    async def _discovery(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"issuer": self.url, "jwks_uri": f"{self.url}/keys", "token_endpoint": f"{self.url}/token"}
        )

    async def _keys(self, _request: web.Request) -> web.Response:
        jwk = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return web.json_response({"keys": [{**jwk, "kid": _KEY_ID, "use": "sig", "alg": "RS256"}]})

    async def answer_token(self, request: web.Request) -> web.Response:
        """Answer a form with `sub`, and `client_reference` or `role`, with an access token."""
        form = await request.post()
        subject, reference = form.get("sub"), form.get("client_reference")
        if not isinstance(subject, str) or not subject or not _is_reference(reference):
            description = (
                "The form needs sub. It may have role, and client_reference: 1 to 128 of A-Z a-z 0-9 . _ : -"
            )
            return web.json_response(
                {"error": "invalid_request", "error_description": description}, status=400
            )
        roles = [role for role in form.getall("role", []) if isinstance(role, str)]
        token = self.token(subject, client_reference=reference, roles=roles)
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS},
            headers={"Cache-Control": "no-store"},
        )


def _is_reference(field: object) -> TypeGuard[str | None]:
    """Whether a grant may name this transaction; None is for tokens that are no grants."""
    return field is None or (isinstance(field, str) and CLIENT_REFERENCE.fullmatch(field) is not None)
