"""CPU of a create whose caller signs in (RS256, the issuer's keys in memory), over one whose caller does not."""

import time
import uuid
from statistics import median

from benchmarks.create_cost import CALLS, ROUNDS, Handle, broker_trigger, create
from benchmarks.peers import environment
from local.issuer import AUDIENCE, LocalIssuer
from shared.app import build, current_app, install
from shared.settings import Settings


async def print_table(simulator_url: str) -> None:
    """Print the medians over all rounds, and the median of the rounds' ratios; each create is of another person."""
    issuer = LocalIssuer()
    await issuer.start()
    settings = environment(simulator_url)
    auth = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}
    signed_in = build(Settings.from_mapping(settings | auth))
    rounds = []
    async with broker_trigger(settings) as handle:
        anybody = current_app()
        for _ in range(ROUNDS + 1):
            install(anybody)
            without = await _round(handle, [{} for _ in range(CALLS)])
            install(signed_in)
            tokens = [{"authorization": f"Bearer {issuer.token(str(uuid.uuid4()))}"} for _ in range(CALLS)]
            rounds.append((without, await _round(handle, tokens)))
    await signed_in.aclose()
    await issuer.stop()
    # The first round loads code and keys.
    del rounds[0]
    without, with_token = (median(costs) for costs in zip(*rounds, strict=True))
    ratio = median(token / none for none, token in rounds)
    print("| one create | caller signed in | not signed in | ratio | target |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| CPU of the process, us | {with_token:.0f} | {without:.0f} | {ratio:.2f} | 1.15 |\n", flush=True)


async def _round(handle: Handle, headers: list[dict[str, str]]) -> float:
    """The CPU time of one call, in microseconds."""
    cpu = time.process_time()
    for fields in headers:
        await create(handle, **fields)
    return (time.process_time() - cpu) / len(headers) * 1e6
