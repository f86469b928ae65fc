"""The CPU time of one create with its state in Azurite, beside one bare read of a table by the same SDK."""

import sys
from statistics import median

from azure.data.tables.aio import TableClient

from benchmarks.create_cost import broker_trigger, create
from benchmarks.load import cpu_of_call, ratio, table
from benchmarks.peers import environment, peer
from local.azurite import HOW_TO_GET_IT, AzuriteProcess, find_azurite

IN_FLIGHT = 16
ROUNDS = 11
CALLS = 160


async def measure() -> str:
    """Measure both in turn, in this process: the device of each create is unknown."""
    program = find_azurite()
    if program is None:
        sys.exit(HOW_TO_GET_IT)
    with peer("simulator") as simulator, AzuriteProcess(program) as azurite:
        state = {"AzureWebJobsStorage": azurite.connection_string, "ID_PEPPER": "a-pepper"}
        client = TableClient.from_connection_string(azurite.connection_string, "bare")
        async with client, broker_trigger(environment(simulator.url) | state) as broker:
            await client.create_table()
            await client.create_entity({"PartitionKey": "a", "RowKey": "b", "text": "x" * 200})

            async def read() -> None:
                await client.get_entity("a", "b")

            # The first create makes the tables.
            await create(broker)
            rounds = [
                (
                    await cpu_of_call(lambda: create(broker), CALLS, IN_FLIGHT),
                    await cpu_of_call(read, CALLS, IN_FLIGHT),
                )
                for _ in range(ROUNDS + 1)
            ][1:]
    ours, bare = (median(costs) for costs in zip(*rounds, strict=True))
    row = (IN_FLIGHT, f"{ours:.0f}", f"{bare:.0f}", f"{ratio(rounds):.2f}", "5.50")
    return table(("in flight", "create, us", "bare read, us", "ratio", "target"), row)
