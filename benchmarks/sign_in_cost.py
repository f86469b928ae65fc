"""The CPU time of one create whose caller signs in (RS256, the issuer's keys in memory), beside one of anybody."""

import secrets
import uuid

from benchmarks.create_cost import broker_trigger, create
from benchmarks.load import CALLS, ROUNDS, compare, table
from benchmarks.peers import (
    COUNTS_ADDRESSES,
    environment,
    install_broker,
    peer,
    stored_in,
)
from local.azurite import running_azurite
from shared.app import current_app, install
from shared.text import system_clock
from tests.support.issuer import AUDIENCE, FakeIssuer, running_issuer

_GROUPS = 5


async def measure() -> str:
    """Measure both in turn for each place of the state; each create is of another person."""
    with peer("simulator") as simulator, running_azurite() as azurite:
        memory = environment(simulator.url)
        tables = memory | stored_in(azurite)
        rows = [
            ("in memory", 1, *await _compare(memory, 1), "1.15"),
            ("in tables, addresses counted", 16, *await _compare(tables | COUNTS_ADDRESSES, 16), "1.15"),
            ("in tables, addresses not counted", 16, *await _compare(tables, 16), ""),
        ]
    return table(("state", "in flight", "caller signed in, us", "anybody, us", "ratio", "target"), *rows)


async def _compare(settings: dict[str, str], in_flight: int) -> tuple[str, str, str]:
    async with running_issuer(system_clock) as issuer:
        auth = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}
        tokens = iter([_token(issuer) for _ in range(CALLS * (ROUNDS + 1))])
        signed_in = install_broker(settings | auth)
        async with broker_trigger(settings) as handle:
            anybody = current_app()

            async def with_token() -> None:
                install(signed_in)
                await create(handle, authorization=f"Bearer {next(tokens)}")

            async def without() -> None:
                install(anybody)
                await create(handle)

            costs = await compare(with_token, without, in_flight)
        await signed_in.aclose()
    return costs


def _token(issuer: FakeIssuer) -> str:
    """A token of a person, with the claims that Entra's tokens of version 2 have, and of their usual 1.5 KB.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """
    return issuer.token(
        sub=secrets.token_urlsafe(32),
        aio=secrets.token_urlsafe(48),
        azp=str(uuid.uuid4()),
        azpacr="0",
        groups=[str(uuid.uuid4()) for _ in range(_GROUPS)],
        name="Anna Example",
        oid=str(uuid.uuid4()),
        preferred_username="anna@example.com",
        rh=secrets.token_urlsafe(48),
        scp="access_as_user",
        tid=str(uuid.uuid4()),
        uti=secrets.token_urlsafe(16),
        ver="2.0",
    )
