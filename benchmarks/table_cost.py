"""The CPU time of one create with its state in Azurite, beside one bare read of a table by the same SDK."""

import sys

from azure.data.tables.aio import TableClient

from benchmarks.create_cost import broker_trigger, create
from benchmarks.load import compare, table
from benchmarks.peers import environment, peer
from local.azurite import HOW_TO_GET_IT, AzuriteProcess, find_azurite

IN_FLIGHT = 16


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
            costs = await compare(lambda: create(broker), read, IN_FLIGHT)
    return table(("in flight", "create, us", "bare read, us", "ratio", "target"), (IN_FLIGHT, *costs, "5.50"))
