"""Reading the keys of an issuer, over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from shared.auth.issuer import LARGEST_ANSWER, Issuer, SigningKeys
from shared.errors import KeyUnavailable
from shared.http import Connections
from shared.http_port import HttpAnswer
from tests.support.issuer import FakeIssuer, private_key, public_jwk, running_issuer
from tests.support.time import FakeClock, in_virtual_time


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    async with running_issuer(FakeClock()) as running:
        yield running


async def read(url: str) -> SigningKeys:
    async with aclosing(Connections()) as connections:
        return await Issuer(url, connections.transport(largest_answer=LARGEST_ANSWER)).read()


@pytest.mark.parametrize("path", ["", "/", "/realms/r", "/realms/r/"])
async def test_keys_are_found_by_discovery(path: str) -> None:
    """A slash at the end of the issuer's URL is part of its name, and is not doubled in the path."""
    async with running_issuer(FakeClock(), path=path) as issuer:
        [key] = (await read(issuer.url)).keys

    assert (key.key_id, key.key) == ("key-1", private_key("key-1").public_key())
    assert issuer.calls == {issuer.discovery_path: 1, "/keys": 1}
    assert "//" not in issuer.discovery_path


async def test_issuer_that_compresses_and_sets_cookies_is_read(issuer: FakeIssuer) -> None:
    """Compressed answers are not asked for, and no cookie is sent back."""
    assert len((await read(issuer.url)).keys) == 1
    assert issuer.cookies_received == []


RSA = public_jwk(private_key("key-1"), kid="k")
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


def elliptic(algorithm: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON.
    return public_jwk(private_key("elliptic", algorithm), kid="k", **members)


@pytest.mark.parametrize(
    ("published", "algorithms"),
    [
        (RSA, RSA_ALGORITHMS),
        ({name: value for name, value in RSA.items() if name not in ("use", "kid")}, RSA_ALGORITHMS),
        (RSA | {"alg": "PS384", "x5c": ["x"], "x5t": "x", "issuer": "x"}, ("PS384",)),
        (elliptic("ES256"), ("ES256",)),
        (elliptic("ES384", alg="ES384"), ("ES384",)),
        (elliptic("ES512"), ("ES512",)),
        (RSA | {"alg": "HS256"}, None),
        (RSA | {"alg": "none"}, None),
        (RSA | {"alg": ["RS256"]}, None),
        (RSA | {"use": "enc"}, None),
        ({name: value for name, value in RSA.items() if name != "use"} | {"key_ops": ["encrypt"]}, None),
        (RSA | {"key_ops": ["verify"]}, RSA_ALGORITHMS),
        (RSA | {"key_ops": 7}, None),
        (RSA | {"kid": 7}, None),
        (RSA | {"n": "!"}, None),
        (RSA | {"e": None}, None),
        (dict(RSAAlgorithm.to_jwk(private_key("key-1"), as_dict=True)) | {"kid": "k"}, None),
        (dict(ECAlgorithm.to_jwk(private_key("elliptic", "ES256"), as_dict=True)) | {"kid": "k"}, None),
        (public_jwk(private_key("short", bits=1024)), None),
        (elliptic("ES256", alg="ES384"), None),
        (elliptic("ES256", crv="P-384"), None),
        (elliptic("ES256", crv="secp256k1"), None),
        (elliptic("ES256", crv=["P-256"]), None),
        (elliptic("ES256", kty="RSA"), None),
        ({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ", "kid": "k"}, None),
        ({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}, None),
        ({"kid": "k"}, None),
        ("k", None),
    ],
)
async def test_key_is_used_for_the_algorithms_of_its_type_alone(
    issuer: FakeIssuer, published: object, algorithms: tuple[str, ...] | None
) -> None:
    """Keys for encryption, secrets, weak, unknown and broken keys are left out, and do not disturb the others."""
    issuer.published = [published, public_jwk(private_key("key-2"), kid="another")]

    keys = (await read(issuer.url)).keys

    assert [key.algorithms for key in keys if key.key_id != "another"] == [algorithms] * bool(algorithms)
    assert keys[-1].key_id == "another"


@pytest.mark.parametrize(
    ("key_id", "algorithm", "found"),
    [
        ("a", "RS256", "a"),
        ("e", "ES256", "e"),
        (None, "ES256", "e"),
        (None, "RS256", None),
        ("a", "ES256", None),
        ("c", "RS256", None),
        ("a", None, None),
        ("a", "none", None),
        ("", "RS256", None),
    ],
)
async def test_key_is_found_by_id_and_algorithm(
    issuer: FakeIssuer, key_id: str | None, algorithm: str | None, found: str | None
) -> None:
    """A token without an id is for an issuer that has one key for the algorithm."""
    issuer.published = [RSA | {"kid": "a"}, RSA | {"kid": "b"}, elliptic("ES256") | {"kid": "e"}]

    key = (await read(issuer.url)).find(key_id, algorithm)

    assert (key and key.key_id) == found


def body(status: int, content: object, **headers: str) -> Callable[[], web.StreamResponse]:
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda: web.Response(status=status, body=content, headers=headers)


TROUBLE = {
    "no discovery": ("discovery", body(404, {}), "it answered 404 for http://.*/openid-configuration"),
    "redirected": ("discovery", body(302, {}, Location="/keys"), "it answered 302"),
    "no JSON": ("discovery", body(200, b"<html>"), "no JSON from"),
    "nested": ("discovery", body(200, b"[" * 100_000), "no JSON from"),
    "no object": ("discovery", body(200, []), "no JSON object"),
    "too large": ("discovery", body(200, b" " * (LARGEST_ANSWER + 1)), "too large or compressed"),
    "another issuer": ("discovery", body(200, {"issuer": "https://evil.example"}), "'https://evil.example'"),
    "keys fail": ("keys", body(500, {}), "it answered 500 for http://.*/keys"),
    "keys are no list": ("keys", body(200, {"keys": "x"}), "no usable key"),
    "no keys": ("keys", body(200, {}), "no usable key"),
    "unusable keys": ("keys", body(200, {"keys": [{"kty": "oct", "k": "x"}]}), "no usable key"),
}


@pytest.mark.parametrize("name", TROUBLE)
async def test_trouble_of_an_issuer_is_told_to_the_operator(issuer: FakeIssuer, name: str) -> None:
    """The detail for the log names the issuer and what is wrong."""
    document, answer, told = TROUBLE[name]
    issuer.answers[issuer.discovery_path if document == "discovery" else "/keys"] = answer

    with pytest.raises(KeyUnavailable, match=told) as trouble:
        await read(issuer.url)

    assert trouble.value.detail.startswith(f"issuer {issuer.url}: ")


@pytest.mark.parametrize("document", ["discovery", "keys"])
@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (429, {"Retry-After": "20"}, 20),
        (503, {"Retry-After": "3600"}, 60),
        (429, {"Retry-After": "soon"}, 1),
        (429, {}, 1),
        (404, {"Retry-After": "20"}, 1),
    ],
)
async def test_pause_that_an_issuer_asks_for_is_kept(
    issuer: FakeIssuer, document: str, status: int, headers: dict[str, str], pause: int
) -> None:
    """A minute at most, and only where the issuer throttles or is down."""
    path = issuer.discovery_path if document == "discovery" else "/keys"
    issuer.answers[path] = body(status, {}, **headers)

    with pytest.raises(KeyUnavailable) as trouble:
        await read(issuer.url)

    assert trouble.value.retry_after == pause


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "keys",
        "http://issuer.example/keys",
        "http://127.0.0.1.evil.example/keys",
        "http://127.0.0.1@evil.example/keys",
        "https://user@issuer.example/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "https://issuer.example",
        "https://issuer.example/a b",
        "http://127.0.0.1:7/keys\n",
        "https://:/::u/",
        "https://:443/keys",
        "https://issuer.example:x/keys",
    ],
)
async def test_keys_are_read_over_tls_or_from_loopback_alone(issuer: FakeIssuer, url: object) -> None:
    """Keys that anybody on the way can change would make everybody an issuer."""
    document = {"issuer": issuer.url, "jwks_uri": url}
    issuer.answers[issuer.discovery_path] = body(200, document)

    with pytest.raises(KeyUnavailable, match="no usable jwks_uri"):
        await read(issuer.url)


class SlowHttp:
    """Takes three seconds for the discovery document, and three for the keys."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        await asyncio.sleep(3)
        return HttpAnswer(200, {}, b'{"issuer": "https://a.example", "jwks_uri": "https://a.example/keys"}')


@in_virtual_time
async def test_both_documents_have_five_seconds_together() -> None:
    with pytest.raises(KeyUnavailable, match="TimeoutError"):
        await Issuer("https://a.example", SlowHttp()).read()
    assert asyncio.get_running_loop().time() == 5


async def test_issuer_that_is_down_is_no_answer(issuer: FakeIssuer) -> None:
    await issuer.stop()
    with pytest.raises(KeyUnavailable, match="ClientConnectorError"):
        await read(issuer.url)
