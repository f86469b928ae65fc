"""The CPU time of one create whose caller signs in (RS256, the issuer's keys in memory), beside one of anybody."""

import uuid

from benchmarks.create_cost import broker_trigger, create
from benchmarks.load import CALLS, ROUNDS, compare, table
from benchmarks.peers import environment, install_broker, peer
from local.issuer import AUDIENCE, LocalIssuer
from shared.app import current_app, install


async def measure() -> str:
    """Measure both in turn; state is in memory, and each create is of another person."""
    issuer = LocalIssuer()
    await issuer.start()
    auth = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}
    tokens = iter([issuer.token(str(uuid.uuid4())) for _ in range(CALLS * (ROUNDS + 1))])
    with peer("simulator") as simulator:
        signed_in = install_broker(environment(simulator.url) | auth)
        async with broker_trigger(environment(simulator.url)) as handle:
            anybody = current_app()

            async def with_token() -> None:
                install(signed_in)
                await create(handle, authorization=f"Bearer {next(tokens)}")

            async def without() -> None:
                install(anybody)
                await create(handle)

            costs = await compare(with_token, without, 1)
        await signed_in.aclose()
    await issuer.stop()
    return table(("caller signed in, us", "anybody, us", "ratio", "target"), (*costs, "1.15"))
