"""Which tokens sign a caller in, and as whom; the attacks of RFC 8725; keys that rotate and issuers that are down."""

import asyncio
import base64
import json
import logging
import string
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.access import Caller
from shared.auth import sign_in as module
from shared.auth.issuer import LARGEST_ANSWER, Issuer, SigningKey, SigningKeys
from shared.auth.sign_in import LONGEST_TOKEN, SharedSecret, SignIn
from shared.errors import KeyUnavailable, Unauthorized
from shared.http import Connections
from shared.keys.cache import Cached, CachedSecret
from tests.shared.keys.fake_secret import FakeSecret, settle
from tests.support.issuer import AUDIENCE, FakeIssuer, private_key, public_jwk, running_issuer
from tests.support.time import FakeClock

TENANT, OBJECT = "72f988bf-86f1-41af-91ab-2d7cd011db47", "0f8fad5b-d9cb-469f-a165-70867728950e"
SECRET = "a-secret-of-a-backend-for-the-tests"
NETWORK = "192.0.2.1"


@dataclass
class Scene:
    """A sign-in over a real issuer, and over a backend's secret in a vault."""

    issuer: FakeIssuer
    clock: FakeClock
    secret: FakeSecret
    sign_in: SignIn

    async def caller(self, token: str, network: str | None = NETWORK) -> Caller:
        return await self.sign_in.caller(f"Bearer {token}", network)

    async def refusal(self, token: str) -> Unauthorized:
        with pytest.raises(Unauthorized) as refused:
            await self.caller(token)
        return refused.value

    def backend_token(self, secret: str = SECRET, **changed: Any) -> str:  # noqa: ANN401 - JSON.
        claims = self.issuer.claims(**{"iss": "backend-key", "sub": "shop"} | changed)
        return self.issuer.signed(claims, headers={"kid": None}, key=secret, algorithm="HS256")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    clock, secret = FakeClock(), FakeSecret(SECRET)
    async with aclosing(Connections()) as connections, running_issuer(clock) as issuer:
        http = connections.transport(largest_answer=LARGEST_ANSWER)
        keys = Cached(Issuer(issuer.url, http).read, name="keys", clock=clock)
        shared = SharedSecret("backend-key", CachedSecret(secret.read, name="backend-key", clock=clock))
        audiences = (AUDIENCE, "6e74172b-be56-4843-9ff4-e66a39bb12e3")
        yield Scene(issuer, clock, secret, SignIn(audiences, {issuer.url: keys}, shared, clock))
        await keys.aclose()


def sign_in_without_a_server(issuer: FakeIssuer) -> SignIn:
    async def read() -> SigningKeys:
        return SigningKeys((SigningKey("key-1", ("RS256",), private_key("key-1").public_key()),))

    keys = Cached(read, name="keys", clock=issuer.clock)
    return SignIn((AUDIENCE, "6e74172b"), {issuer.url: keys}, None, issuer.clock)


ENTRA = {"tid": TENANT, "oid": OBJECT, "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ"}
ENTRA_V1 = f"https://sts.windows.net/{TENANT}/"
ENTRA_V2 = f"https://login.microsoftonline.com/{TENANT}/v2.0"
ENTRA_EXTERNAL = f"https://shop.ciamlogin.com/{TENANT}/v2.0"
IN_ENTRA = Caller(f"entra:{TENANT} {OBJECT}", NETWORK, client_id="an-app")
AUTH0, KEYCLOAK = "https://tenant.eu.auth0.com/", "https://sso.example/realms/shop"
OF_KEYCLOAK = {
    "sub": "f:1:jörg",
    "aud": ["account", AUDIENCE],
    "typ": "Bearer",
    "nonce": "of versions before 25",
    "azp": "app",
    "tid": TENANT,
    "oid": OBJECT,
    "jti": "a-jti",
    "client_reference": "order:4711",
    "realm_access": {"roles": ["Liveness.Operate"]},
}


@pytest.mark.parametrize(
    ("issuer", "claims", "expected"),
    [
        (
            ENTRA_V1,
            ENTRA | {"aud": AUDIENCE, "ver": "1.0", "appid": "an-app", "roles": ["Liveness.Operate"]},
            replace(IN_ENTRA, roles=frozenset({"Liveness.Operate"})),
        ),
        (ENTRA_V2, ENTRA | {"aud": "6e74172b", "ver": "2.0", "azp": "an-app", "scp": "check"}, IN_ENTRA),
        (ENTRA_EXTERNAL, ENTRA | {"ver": "2.0", "azp": "an-app"}, IN_ENTRA),
        (
            AUTH0,
            {"sub": "auth0|5f7", "aud": [AUDIENCE, f"{AUTH0}userinfo"], "azp": "a-client", "scope": "openid"},
            Caller(f"{AUTH0} auth0|5f7", NETWORK, client_id="a-client"),
        ),
        (
            KEYCLOAK,
            OF_KEYCLOAK,
            Caller(f"{KEYCLOAK} f:1:jörg", NETWORK, client_id="app", client_reference="order:4711"),
        ),
        (AUTH0, {"client_id": "a-client"}, Caller(f"{AUTH0} anna", NETWORK, client_id="a-client")),
    ],
    ids=["Entra v1", "Entra v2", "Entra External ID", "like Auth0", "like Keycloak", "RFC 9068"],
)
async def test_tokens_of_known_products_sign_in(
    issuer: str, claims: dict[str, Any], expected: Caller
) -> None:
    """Entra names a person by tenant and object, in tokens of both versions; all others by issuer and subject."""
    made = FakeIssuer(FakeClock(), url=issuer)
    token = made.signed(made.claims(**claims), headers={"x5t": "x"})

    caller = await sign_in_without_a_server(made).caller(f"Bearer {token}", NETWORK)

    assert caller == replace(expected, issuer=issuer)
    assert caller.operator is ("Liveness.Operate" in claims.get("roles", []))


@pytest.mark.parametrize(
    "changed",
    [{"oid": None}, {"tid": None}, {"oid": ""}, {"tid": "72f988bf"}, {"appid": None, "name": "Anna"}],
)
async def test_entra_token_without_its_names_is_refused(changed: dict[str, Any]) -> None:
    """`sub` alone would give a person another name in each app; a tenant has to be the issuer's.

    A token that names no client is an ID token.
    """
    made = FakeIssuer(FakeClock(), url=ENTRA_V1)
    token = made.token(**ENTRA | {"appid": "an-app"} | changed)
    with pytest.raises(Unauthorized):
        await sign_in_without_a_server(made).caller(f"Bearer {token}", None)


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "application/AT+JWT", None])
@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
)
async def test_token_of_each_algorithm_signs_in(scene: Scene, algorithm: str, typ: str | None) -> None:
    """The type of the token may be left out; the scheme is read without case, as HTTP says of all schemes."""
    key = private_key("any", algorithm)
    scene.issuer.published = [public_jwk(key, kid="any")]
    claims, headers = scene.issuer.claims(), {"kid": "any", "typ": typ}
    token = scene.issuer.signed(claims, headers=headers, key=key, algorithm=algorithm)

    caller = await scene.sign_in.caller(f"bEARER  {token}", NETWORK)

    assert caller == Caller(f"{scene.issuer.url} anna", NETWORK, issuer=scene.issuer.url)
    assert not caller.operator


async def test_backend_with_a_secret_signs_in(scene: Scene) -> None:
    """The name of the secret is the issuer, so that no such caller has the name of another issuer's."""
    caller = await scene.caller(scene.backend_token(roles=["Liveness.Operate", 7]))

    assert (caller.principal, caller.issuer) == ("backend-key shop", "backend-key")
    assert caller.operator


@pytest.mark.parametrize("roles", ["Liveness.Operate", {"Liveness.Operate": True}, 7])
async def test_roles_that_are_no_list_are_none(scene: Scene, roles: object) -> None:
    assert not (await scene.caller(scene.issuer.token(roles=roles))).operator


@pytest.mark.parametrize(
    ("authorization", "problem"),
    [
        (None, None),
        ("", None),
        ("Basic YTpi", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("BearerX a.b.c", None),
        ("Bearer a b", "The access token is not valid."),
        ("Bearer ä.b.c", "The access token is not valid."),
        ("Bearer a.b.c, Bearer a.b.c", "The access token is not valid."),
        ("Bearer x", "The access token is not valid."),
        ("bearer   a.b.c ", "The access token is not valid."),
    ],
)
async def test_request_without_a_token_is_told_of_no_fault(
    scene: Scene, authorization: str | None, problem: str | None
) -> None:
    """Only a token can be wrong (RFC 6750, section 3.1)."""
    with pytest.raises(Unauthorized) as refused:
        await scene.sign_in.caller(authorization, None)

    assert refused.value.problem == problem


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def spliced(token: str, header: object = None, payload: object = None, signature: bytes | None = None) -> str:
    """A token with parts of it replaced, the signature kept."""
    parts = token.split(".")
    for number, part in enumerate((header, payload, signature)):
        if part is not None:
            parts[number] = encoded(part)
    return ".".join(parts)


def standard_base64(token: str) -> str:
    """The token with `+` and `/` in its signature, where base64url has `-` and `_`."""
    signed, _, signature = token.rpartition(".")
    assert set(signature) & set("-_")
    return f"{signed}.{signature.replace('-', '+').replace('_', '/')}"


def with_last_character_changed(token: str) -> str:
    """The token with a bit set that decoders drop: it decodes to the same bytes."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    changed = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
    assert base64.urlsafe_b64decode(f"{changed.rpartition('.')[2]}==") == base64.urlsafe_b64decode(
        f"{token.rpartition('.')[2]}=="
    )
    return changed


def keyed_by_public_key(scene: Scene, **headers: object) -> str:
    """Signed HS256 with the text of the public key, which everybody knows."""
    public = private_key(scene.issuer.kid).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return signed_anyhow({"alg": "HS256"} | headers, scene.issuer.claims(), pem)


def signed_anyhow(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    """Signed with a key that PyJWT itself refuses to sign such a token with."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    algorithm: Any = jwt.get_algorithm_by_name(header["alg"])
    return f"{signed}.{encoded(algorithm.sign(signed.encode(), key))}"


def own_key(scene: Scene, **headers: object) -> str:
    """Signed with a key of the attacker's."""
    return scene.issuer.signed(scene.issuer.claims(), headers=headers, key=private_key("attacker"))


def with_header(**fields: object) -> Callable[[Scene], str]:
    """Header fields changed after the issuer signed."""
    return lambda scene: spliced(scene.issuer.token(), {"alg": "RS256", "kid": "key-1"} | fields)


def claiming(**changed: object) -> Callable[[Scene], str]:
    """Signed by the issuer, with claims changed."""
    return lambda scene: scene.issuer.token(**changed)


def heading(**headers: object) -> Callable[[Scene], str]:
    """Signed by the issuer, with header fields changed."""
    return lambda scene: scene.issuer.signed(scene.issuer.claims(), headers=headers)


def elliptic(scene: Scene, **headers: object) -> str:
    key = private_key("elliptic", "ES256")
    return scene.issuer.signed(
        scene.issuer.claims(), headers={"kid": "e"} | headers, key=key, algorithm="ES256"
    )


ATTACKER = "http://127.0.0.1:9/keys"
ATTACKS: dict[str, Callable[[Scene], str]] = {
    # RFC 8725, section 2.1: the algorithm is changed.
    "alg none": lambda scene: spliced(scene.issuer.token(), {"alg": "none"}, signature=b""),
    "alg None": lambda scene: spliced(scene.issuer.token(), {"alg": "nOnE", "kid": "key-1"}, signature=b""),
    "no alg": lambda scene: spliced(scene.issuer.token(), {"kid": "key-1"}),
    "alg is a list": with_header(alg=["RS256"]),
    "HS256 with the public key": lambda scene: keyed_by_public_key(scene, kid=scene.issuer.kid),
    "HS256 with the public key, no kid": keyed_by_public_key,
    "HS256 of the backend for an issuer": lambda scene: scene.backend_token(iss=scene.issuer.url),
    "RS256 for the backend": lambda scene: scene.issuer.token(iss="backend-key"),
    "alg none for the backend": lambda scene: spliced(scene.backend_token(), {"alg": "none"}, signature=b""),
    "HS512 for the backend": lambda scene: signed_anyhow(
        {"alg": "HS512"}, scene.issuer.claims(iss="backend-key"), SECRET.encode()
    ),
    "another algorithm than the key's": lambda scene: elliptic(scene, kid="key-1"),
    "alg of another type": lambda scene: spliced(elliptic(scene), {"alg": "RS256", "kid": "e"}),
    "secret guessed": lambda scene: scene.backend_token("another-secret-of-32-characters!"),
    "secret empty": lambda scene: spliced(scene.backend_token(), signature=b""),
    # Sections 2.3 and 3.3: parts that do not belong together.
    "signature left out": lambda scene: spliced(scene.issuer.token(), signature=b""),
    "signature of zeros": lambda scene: spliced(elliptic(scene), signature=bytes(64)),
    "payload changed": lambda scene: spliced(
        scene.issuer.token(), payload=scene.issuer.claims(sub="mallory")
    ),
    "header changed": with_header(alg="RS384"),
    # RFC 7519, section 4: of two members with one name the last one counts. Nobody but the issuer can sign both.
    "header names alg twice": lambda scene: spliced(
        scene.issuer.token(), b'{"alg":"RS256","kid":"key-1","alg":"none"}', signature=b""
    ),
    "payload names sub twice": lambda scene: spliced(
        scene.issuer.token(), payload=json.dumps(scene.issuer.claims())[:-1].encode() + b',"sub":"mallory"}'
    ),
    # Section 2.4: compressed content, and a token in a token. Neither is read.
    "payload compressed": lambda scene: spliced(
        scene.issuer.token(),
        {"alg": "RS256", "kid": "key-1", "zip": "DEF"},
        zlib.compress(json.dumps(scene.issuer.claims()).encode()),
    ),
    "payload is a token": lambda scene: spliced(
        scene.issuer.token(), {"alg": "RS256", "kid": "key-1", "cty": "JWT"}, scene.issuer.token().encode()
    ),
    "two parts": lambda scene: scene.issuer.token().rpartition(".")[0],
    "four parts": lambda scene: f"{scene.issuer.token()}.e30",
    "five parts, encrypted": lambda scene: "eyJhbGciOiJkaXIifQ..a.b.c",
    "own key": own_key,
    "own key, expired": lambda scene: scene.issuer.signed(
        scene.issuer.claims(exp=1), key=private_key("attacker")
    ),
    "own key, no kid": lambda scene: own_key(scene, kid=None),
    # Section 3.10: claims about keys are not trusted.
    "own jwk": lambda scene: own_key(scene, kid=None, jwk=public_jwk(private_key("attacker"))),
    "own jku": lambda scene: own_key(scene, kid="key-9", jku=ATTACKER),
    "own x5u": lambda scene: own_key(scene, kid="key-9", x5u=ATTACKER),
    "kid is a path": lambda scene: own_key(scene, kid="../../dev/null"),
    "kid is SQL": lambda scene: own_key(scene, kid="' OR 1=1 --"),
    "kid is a number": with_header(kid=1),
    "kid is null": with_header(kid=None),
    # Section 3.8: issuer and subject.
    "no iss": claiming(iss=None),
    "iss of somebody": claiming(iss="https://evil.example"),
    "iss is a list": lambda scene: scene.issuer.token(iss=[scene.issuer.url]),
    "iss with a slash": lambda scene: scene.issuer.token(iss=f"{scene.issuer.url}/"),
    "iss in capitals": lambda scene: scene.issuer.token(iss=scene.issuer.url.upper()),
    "iss is a number": claiming(iss=5),
    "no sub": claiming(sub=None),
    "sub empty": claiming(sub=""),
    "sub blank": claiming(sub="  "),
    "sub is a number": claiming(sub=7),
    "sub is a list": claiming(sub=["anna"]),
    "sub with a line break": claiming(sub="anna\nbert"),
    "sub with NUL": claiming(sub="anna\0"),
    "sub with half a character": claiming(sub="\ud800"),
    "sub too long": claiming(sub="x" * 256),
    # Section 3.9: audience.
    "no aud": claiming(aud=None),
    "aud of another service": claiming(aud="api://other"),
    "aud has ours in it": claiming(aud=f"{AUDIENCE}/x"),
    "aud empty": claiming(aud=[]),
    "aud is an object": claiming(aud={AUDIENCE: AUDIENCE}),
    # Times.
    "no exp": claiming(exp=None),
    "exp is text": claiming(exp="1900000000"),
    "exp is true": claiming(exp=True),
    "exp is NaN": claiming(exp=float("nan")),
    "exp is infinite": claiming(exp=float("inf")),
    "exp is huge": claiming(exp=10**400),
    "iat is text": claiming(iat="yesterday"),
    "nbf is negative": claiming(nbf=-1),
    "not yet valid": lambda scene: scene.issuer.token(nbf=scene.clock() // 1000 + 61),
    "issued in the future": lambda scene: scene.issuer.token(iat=scene.clock() // 1000 + 61),
    # Sections 3.11 and 3.12: tokens of another kind.
    "typ of DPoP": heading(typ="dpop+jwt"),
    "typ of a logout": heading(typ="logout+jwt"),
    "typ of a security event": heading(typ="secevent+jwt"),
    "typ is a number": heading(typ=7),
    "ID token of Keycloak": claiming(typ="ID", azp="phone-app"),
    "refresh token of Keycloak": claiming(typ="Refresh"),
    "typ in the claims is a list": claiming(typ=["Bearer"]),
    "typ in the claims is empty": claiming(typ=""),
    "logout token without a typ": claiming(
        events={"http://schemas.openid.net/event/backchannel-logout": {}}, sid="a-sid", jti="a-jti"
    ),
    "security event with a typ": claiming(events={}, typ="JWT"),
    "ID token by its nonce": claiming(nonce="n"),
    "ID token by its at_hash": claiming(at_hash="x"),
    "ID token by its c_hash": claiming(c_hash="x"),
    "ID token by an empty nonce": claiming(nonce=""),
    "ID token by its at_hash, with a typ": claiming(at_hash="x", typ="Bearer"),
    # RFC 7515, section 4.1.11: what must be understood, and is not.
    "crit unknown": heading(crit=["exp"], exp=1),
    "crit b64": with_header(crit=["b64"], b64=False),
    "crit is no list": heading(crit="exp", exp=1),
    "crit empty": with_header(crit=[]),
    # Text that is no token.
    "too long": claiming(x="x" * LONGEST_TOKEN),
    "header is nested deeply": lambda scene: f"{encoded(b'[' * 5000)}.e30.AA",
    "payload is nested deeply": lambda scene: spliced(scene.issuer.token(), payload=b'{"a":' * 1000),
    "header is no object": lambda scene: spliced(scene.issuer.token(), ["RS256"]),
    "payload is no object": lambda scene: spliced(scene.issuer.token(), payload=["anna"]),
    "blank in it": lambda scene: scene.issuer.token().replace(".", ". ", 1),
    "base64 with padding in it": lambda scene: scene.issuer.token().replace(".", "=.", 1),
    "standard base64": lambda scene: standard_base64(scene.issuer.token()),
    "signature with bits to spare": lambda scene: with_last_character_changed(scene.issuer.token()),
    "a grant for no transaction": claiming(client_reference=""),
    "a grant for two transactions": claiming(client_reference=["a", "b"]),
    "a grant for a text": claiming(client_reference="order 1"),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_is_refused_in_the_same_words(scene: Scene, name: str) -> None:
    """The sender learns that the token is not valid, and nothing more; the operator's log has the reason."""
    scene.issuer.published += [public_jwk(private_key("elliptic", "ES256"), kid="e")]

    refused = await scene.refusal(ATTACKS[name](scene))

    assert refused.problem == "The access token is not valid."
    assert refused.detail
    assert "mallory" not in refused.detail
    # The same scene takes the good token.
    assert (await scene.caller(scene.issuer.token())).principal


@pytest.mark.parametrize("name", ["alg none", "HS256 with the public key", "kid is a number"])
async def test_token_that_no_newer_key_can_verify_has_no_key_read(scene: Scene, name: str) -> None:
    """So the next one is refused in the same way."""
    for _ in range(2):
        await scene.refusal(ATTACKS[name](scene))

    assert scene.issuer.calls["/keys"] == 0


@pytest.mark.parametrize(("claim", "good", "bad"), [("exp", -59, -60), ("nbf", 60, 61), ("iat", 60, 61)])
async def test_clocks_may_differ_by_a_minute(scene: Scene, claim: str, good: int, bad: int) -> None:
    """Seconds from now; at its end a token has expired."""
    now = scene.clock() // 1000

    assert (await scene.caller(scene.issuer.token(**{claim: now + good}))).principal
    refused = await scene.refusal(scene.issuer.token(**{claim: now + bad}))

    expected = "The access token expired." if claim == "exp" else "The access token is not valid."
    assert refused.problem == expected


async def test_longest_token_signs_in(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    token = scene.issuer.token()
    monkeypatch.setattr(module, "LONGEST_TOKEN", len(token))
    assert (await scene.caller(token)).principal
    monkeypatch.setattr(module, "LONGEST_TOKEN", len(token) - 1)
    await scene.refusal(token)


async def test_rotation_while_requests_run_fails_none(scene: Scene) -> None:
    """The first token with the new key brings the keys, once for all who wait."""
    await scene.caller(scene.issuer.token())
    scene.issuer.rotate("key-2")

    callers = await asyncio.gather(*(scene.caller(scene.issuer.token()) for _ in range(50)))

    assert {caller.principal for caller in callers} == {f"{scene.issuer.url} anna"}
    assert scene.issuer.calls["/keys"] == 2


@pytest.mark.parametrize("published_before_use", [True, False])
@pytest.mark.parametrize("rotates_at", [0, 1, 9, 10, 29, 30, 31, 45])
async def test_forged_key_ids_of_an_address_fail_nobody_else(
    scene: Scene, rotates_at: int, published_before_use: bool
) -> None:
    """An address has the issuer asked every 30 seconds at most. Tokens of others sign in, whenever keys change."""
    await scene.caller(scene.issuer.token())
    asked_at = []
    for second in range(60):
        if second == rotates_at:
            old = scene.issuer.published
            scene.issuer.rotate("key-2")
            scene.issuer.published += old if published_before_use else []
        before = scene.issuer.calls["/keys"]
        with pytest.raises((Unauthorized, KeyUnavailable)):
            await scene.caller(own_key(scene, kid=f"made-up-{second}"), "192.0.2.66")
        asked_at += [second] if scene.issuer.calls["/keys"] > before else []
        assert (await scene.caller(scene.issuer.token())).principal
        scene.clock.advance_seconds(1)

    assert asked_at == [0, 30]
    assert scene.issuer.calls["/keys"] <= 4


async def test_forged_key_ids_of_many_addresses_do_not_flood_the_issuer(scene: Scene) -> None:
    """It is asked twice in 10 seconds at most. Nobody is told meanwhile that a token is not valid: it may be good."""
    await scene.caller(scene.issuer.token())
    for number in range(100):
        error = Unauthorized if number < 2 else KeyUnavailable
        with pytest.raises(error) as refused:
            await scene.caller(own_key(scene, kid=f"key-{number + 2}"), f"192.0.2.{number + 2}")
        scene.clock.advance_ms(90)
    assert (scene.issuer.calls["/keys"], refused.value.retry_after) == (3, 1.09)

    scene.issuer.rotate("key-2")
    scene.clock.advance_seconds(1)
    assert (await scene.caller(scene.issuer.token())).principal


async def test_address_of_forged_key_ids_signs_in_with_a_new_key_later(scene: Scene) -> None:
    """Or at once, if another address had the key read. Without known addresses, the bound for all of them counts."""
    await scene.caller(scene.issuer.token())
    await scene.refusal(own_key(scene, kid="made-up"))
    scene.issuer.rotate("key-2")
    with pytest.raises(KeyUnavailable) as unavailable:
        await scene.caller(scene.issuer.token())
    assert (unavailable.value.retry_after, unavailable.value.charged_as_miss) == (30, True)

    assert (await scene.caller(scene.issuer.token(), None)).principal
    assert (await scene.caller(scene.issuer.token())).principal
    scene.issuer.rotate("key-3")
    scene.clock.advance_seconds(30)
    assert (await scene.caller(scene.issuer.token())).principal


async def test_issuer_that_is_down_at_first_needs_no_restart(scene: Scene) -> None:
    """The caller is told to come back, the operator which issuer it is."""
    await scene.issuer.stop()
    for _ in range(2):
        with pytest.raises(KeyUnavailable, match=scene.issuer.url) as unavailable:
            await scene.caller(scene.issuer.token())
    assert unavailable.value.retry_after == 5.0

    await scene.issuer.start()
    scene.clock.advance_seconds(5)
    assert (await scene.caller(scene.issuer.token())).principal


async def test_known_keys_serve_while_the_issuer_is_down(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """For a day; a token with a newer key is not called invalid meanwhile."""
    await scene.caller(scene.issuer.token())
    await scene.issuer.stop()
    scene.clock.advance_seconds(3600)
    with caplog.at_level(logging.WARNING):
        assert (await scene.caller(scene.issuer.token())).principal
        await settle()
        with pytest.raises(KeyUnavailable) as unavailable:
            await scene.caller(own_key(scene, kid="key-2"))
    assert unavailable.value.retry_after == 30
    assert "secret_read_failed" in caplog.text
    assert (await scene.caller(scene.issuer.token())).principal

    scene.clock.advance_seconds(86_400)
    with pytest.raises(KeyUnavailable):
        await scene.caller(scene.issuer.token())


async def test_new_secret_of_a_backend_is_read(scene: Scene) -> None:
    """A token that does not fit the secret in memory may fit the one in the vault."""
    await scene.caller(scene.backend_token())
    scene.secret.value = "a-new-secret-of-32-characters-!!"

    assert (await scene.caller(scene.backend_token(scene.secret.value))).principal
    await scene.refusal(scene.backend_token())
    with pytest.raises(KeyUnavailable) as unavailable:
        await scene.caller(scene.backend_token())
    assert (scene.secret.count(), unavailable.value.retry_after) == (3, 30)
    scene.clock.advance_seconds(30)
    await scene.refusal(scene.backend_token())
    assert scene.secret.count() == 4


async def test_weak_secret_verifies_nothing(scene: Scene) -> None:
    """A secret that can be guessed from one token is the operator's fault, and told to the operator."""
    await scene.caller(scene.backend_token())
    await scene.sign_in.check()
    scene.secret.value = "x" * 31
    for _ in range(2):
        with pytest.raises(KeyUnavailable, match="backend-key is shorter than 32"):
            await scene.caller(scene.backend_token("y" * 32))
    with pytest.raises(KeyUnavailable, match="backend-key is shorter than 32"):
        await scene.sign_in.check()
