"""Fuzzers of what callers send: bodies, headers, and bearer tokens."""

import base64
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_network
from typing import Any, Final

import azure.functions as func
from jwt.algorithms import ECAlgorithm

from create_session.body import DEVICE_HEADER, MIN_TOKEN_LIFETIME, read_body
from shared.auth.issuer import Issuer, SigningKeys
from shared.auth.sign_in import SharedSecret, SignIn
from shared.errors import InvalidIdempotencyKey, KeyUnavailable, RequestRefused, Unauthorized
from shared.face.model import LivenessMode
from shared.http_port import HttpAnswer
from shared.idempotency import parse_key
from shared.keys.secret import Secret, StaticSecret
from shared.settings import Settings
from shared.text import LONGEST_RETRY_AFTER, continued, parse_json, parse_session_id, retry_after_seconds
from shared.web.client_address import UNVOUCHED, client_network, network
from shared.web.endpoint import json_body
from tests.fuzz.target import complete, fuzzer, message, message_of, object_of, text_of
from tests.support.fake_face import FakeFace
from tests.support.issuer import AUDIENCE, private_key, public_jwk
from tests.support.time import FakeClock

SESSION: Final = "b12e033e-bda7-4b83-a211-e721c661f30e"

_FACE: Final = FakeFace(modes=tuple(LivenessMode))
_SETTINGS: Final = Settings.from_mapping(
    {"FACE_REGION": "westeurope", "FACE_KEY": "k", "CLIENT_AUTH": "none"}
)
_CLOCK: Final = FakeClock()
_TENANT, _OBJECT = "72f988bf-86f1-41af-91ab-2d7cd011db47", "0f8fad5b-d9cb-469f-a165-70867728950e"
_ISSUER, _ENTRA = "https://sso.example/realms/shop", f"https://login.microsoftonline.com/{_TENANT}/v2.0"
_BACKEND, _SECRET = "backend-key", "a-secret-of-a-backend-for-the-tests"
_FRONT_DOOR: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"


def _signed(header: object, claims: object) -> str:
    head, payload = (_base64(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.digest(_SECRET.encode(), f"{head}.{payload}".encode(), "sha256")
    return f"{head}.{payload}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _of_elliptic_curve() -> dict[str, Any]:
    jwk: dict[str, Any] = ECAlgorithm.to_jwk(private_key("elliptic", "ES256").public_key(), as_dict=True)
    return jwk | {"use": "sig", "kid": "elliptic"}


_BODY: Final = {
    "livenessOperationMode": "Passive",
    "deviceCorrelationId": "723d6d03-ef33-40a8-9682-23a1feb7bccd",
}
_WHOLE_BODY: Final = {
    "livenessOperationMode": "PassiveActive",
    "deviceCorrelationId": None,
    "deviceCorrelationIdSetInClient": True,
    "authTokenTimeToLiveInSeconds": 600,
    "sendResultsToClient": False,
    "clientReference": "order-1",
}
_NOW: Final = _CLOCK() // 1000
_CLAIMS: Final = {
    "iss": _BACKEND,
    "sub": "shop",
    "aud": AUDIENCE,
    "exp": _NOW + 600,
    "nbf": _NOW,
    "iat": _NOW,
    "client_reference": "order-1",
}
_HS256: Final = {"alg": "HS256", "typ": "JWT"}
_WIDE_CLAIMS: Final = _CLAIMS | {
    "aud": [AUDIENCE, "other"],
    "azp": "an-app",
    "roles": ["Liveness.Operate", "Other"],
    "onBehalfOf": "anna",
    "tid": _TENANT,
    "oid": _OBJECT,
}
_DISCOVERY: Final = json.dumps({"issuer": _ISSUER, "jwks_uri": "https://sso.example/keys"}).encode()
_JWKS: Final = json.dumps(
    {"keys": [public_jwk(private_key("key-1"), kid="key-1"), _of_elliptic_curve() | {"alg": "ES256"}]}
).encode()
_PRIVATE_JWKS: Final = json.dumps(
    {"keys": [ECAlgorithm.to_jwk(private_key("elliptic", "ES256"), as_dict=True), *json.loads(_JWKS)["keys"]]}
).encode()
_TOKEN: Final = _signed(_HS256, _CLAIMS)
_UNSIGNED: Final = (
    f"{_base64(json.dumps({'alg': 'none'}).encode())}.{_TOKEN.split('.')[1]}.",
    (
        f"{_base64(json.dumps({'alg': 'ES256', 'kid': 'elliptic'}).encode())}"
        f".{_base64(json.dumps(_CLAIMS | {'iss': _ISSUER}).encode())}.{_base64(bytes(64))}"
    ),
)


@fuzzer(
    "create body",
    message(_BODY, content_type="application/json"),
    message(_WHOLE_BODY, content_type="application/json; charset=utf-8", x_device_correlation_id="a phone"),
    message(b"", content_type="application/json", content_length="7", content_encoding="identity"),
    raises=(RequestRefused,),
)
def _create_body(data: bytes) -> None:
    headers, body = message_of(data)
    headers.setdefault("content-length", str(len(body)))
    request = func.HttpRequest("POST", "http://localhost/api/sessions", headers=headers, body=body)
    device_header = request.headers.get(DEVICE_HEADER)
    read, faults = read_body(json_body(request), device_header, _FACE, _SETTINGS)
    if faults:
        assert all(isinstance(fault, RequestRefused) for fault in faults)
        return
    spec = read.spec(_SETTINGS.auth_token_ttl_max_seconds)
    device_id = read.device_id(device_header)
    assert device_id is not None
    assert 1 <= len(device_id) <= 64
    assert spec.device_id in (None, device_id)
    assert MIN_TOKEN_LIFETIME <= spec.token_lifetime <= _SETTINGS.auth_token_ttl_max_seconds
    assert spec.mode in _FACE.modes
    # Ids are hashed as UTF-8.
    device_id.encode()


@fuzzer(
    "strict JSON",
    _WHOLE_BODY,
    b'[1, -0.0, 1e3, null, true, "\\ud83d\\ude00", {"a": {"a": []}}]',
    b"[" * 400 + b"]" * 400,
    b"\xef\xbb\xbf{}",
    raises=(ValueError,),
)
def _strict_json(data: bytes) -> None:
    content = parse_json(data)
    assert parse_json(json.dumps(content, ensure_ascii=False).encode()) == content


@fuzzer("session id", SESSION, SESSION.upper(), f"{{{SESSION}}}", f"urn:uuid:{SESSION}")
def _session_id(data: bytes) -> None:
    text = text_of(data)
    if (parsed := parse_session_id(text)) is not None:
        assert parsed == text.lower()
        assert str(uuid.UUID(parsed)) == parsed


@fuzzer(
    "Retry-After",
    message(retry_after="26"),
    message(retry_after="Mon, 23 Nov 2026 09:53:00 GMT", date="Mon, 23 Nov 2026 09:52:00 GMT"),
    message(retry_after="Monday, 23-Nov-26 09:53:00 GMT", date="Mon Nov 23 09:52:00 2026"),
    message(retry_after="23 Nov 2026 09:53 -0000", date="Mon, 23 Nov 2026 09:52:00 +0100 (CET)"),
)
def _retry_after(data: bytes) -> None:
    seconds = retry_after_seconds(message_of(data)[0])
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER


@fuzzer(
    "traceparent",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    f"00-{'0' * 32}-{'0' * 16}-00",
)
def _traceparent(data: bytes) -> None:
    text = text_of(data)
    sent = continued(text)
    version, trace, span, flags = sent.split("-")
    assert (version, flags, len(trace), len(span)) == ("00", "00", 32, 16)
    assert int(trace, 16)
    assert int(span, 16)


@fuzzer(
    "client address",
    message(client_ip="203.0.113.7:50000"),
    message(client_ip="[2001:db8::1]:443"),
    message(client_ip="::ffff:203.0.113.7", x_azure_fdid=_FRONT_DOOR, x_azure_socketip="2001:db8::1%eth0"),
    message(x_azure_fdid=_FRONT_DOOR.upper(), x_azure_socketip="203.0.113.7"),
)
def _client_address(data: bytes) -> None:
    headers, _ = message_of(data)
    for source in ("none", "appservice", "frontdoor"):
        found = client_network(headers, source, _FRONT_DOOR)
        if found is None or found == UNVOUCHED:
            continue
        assert ip_network(found).prefixlen in (32, 64)
        assert network(found.partition("/")[0]) == found
        assert source == "appservice" or headers["x-azure-fdid"].lower() == _FRONT_DOOR


@fuzzer(
    "Idempotency-Key",
    "0123456789abcdef",
    '"0123456789abcdef-_ABC"',
    "a" * 128,
    f"{{{SESSION}}}",
    raises=(InvalidIdempotencyKey,),
)
def _idempotency_key(data: bytes) -> None:
    text = text_of(data)
    assert re.fullmatch("[A-Za-z0-9_-]{16,128}", parsed := parse_key(text))
    assert parsed in text


class _Documents:
    """Serves a discovery document and keys."""

    discovery = keys = b""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        return HttpAnswer(200, {}, self.discovery if "openid-configuration" in url else self.keys)


_DOCUMENTS: Final = _Documents()
_READER: Final = Issuer(_ISSUER, _DOCUMENTS)


def _read_keys(discovery: bytes, keys: bytes) -> SigningKeys:
    _DOCUMENTS.discovery, _DOCUMENTS.keys = discovery, keys
    return complete(_READER.read())


def _issuer(discovery: bytes, keys: bytes) -> None:
    for key in _read_keys(discovery, keys).keys:
        assert not hasattr(key.key, "private_bytes"), "a private key is taken for a public one"
        assert not set(key.algorithms) & {"HS256", "HS384", "HS512", "none"}


@fuzzer(
    "discovery document",
    _DISCOVERY,
    {"issuer": _ISSUER, "jwks_uri": "http://127.0.0.1:7073/keys?a=1#b"},
    raises=(KeyUnavailable,),
)
def _discovery(data: bytes) -> None:
    _issuer(data, _JWKS)


@fuzzer("JWKS", _JWKS, _PRIVATE_JWKS, raises=(KeyUnavailable,))
def _jwks(data: bytes) -> None:
    _issuer(_DISCOVERY, data)


class _Keys:
    """The keys of an issuer that needs no server."""

    failing = False
    refresh_pause = 0.0

    async def get(self) -> SigningKeys:
        return _published()

    async def refresh(self, refused: SigningKeys, *, may_read: bool = True) -> SigningKeys:
        return refused


@cache
def _published() -> SigningKeys:
    return _read_keys(_DISCOVERY, _JWKS)


@cache
def _sign_in() -> SignIn:
    _published()
    secret = SharedSecret(_BACKEND, StaticSecret(Secret(_SECRET)))
    return SignIn((AUDIENCE,), {_ISSUER: _Keys(), _ENTRA: _Keys()}, secret, _CLOCK)


@fuzzer(
    "bearer token",
    f"Bearer {_TOKEN}",
    *(f"bearer {token}" for token in _UNSIGNED),
    raises=(Unauthorized,),
)
def _bearer_token(data: bytes) -> None:
    caller = complete(_sign_in().caller(text_of(data), None))
    # A token that was forged without a key must be refused: only what was signed says who the caller is.
    assert caller.principal == f"{_BACKEND} shop"
    assert caller.client_reference == "order-1"
    assert not caller.operator


@fuzzer(
    "token claims",
    *({"header": _HS256, "claims": claims} for claims in (_CLAIMS, _WIDE_CLAIMS)),
    raises=(Unauthorized,),
)
def _claims(data: bytes) -> None:
    token = object_of(data)
    if token is None:
        return
    caller = complete(_sign_in().caller(f"Bearer {_signed(token.get('header'), token.get('claims'))}", None))
    principal = caller.principal or ""
    assert principal.startswith((f"{_BACKEND} ", "entra:"))
    for text in (principal, caller.client_id or "", caller.client_reference or "", *caller.roles):
        text.encode()
        assert text.isprintable()
