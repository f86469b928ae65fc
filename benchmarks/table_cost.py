"""The CPU time of one create with its state in Azurite, beside one bare read of a table by the same SDK."""

from azure.data.tables.aio import TableClient

from benchmarks.create_cost import broker_trigger, create
from benchmarks.load import compare, table
from benchmarks.peers import COUNTS_ADDRESSES, environment, peer, stored_in
from local.azurite import running_azurite

IN_FLIGHT = 16


async def measure() -> str:
    """Measure both in turn, in this process: the device of each create is unknown."""
    with peer("simulator") as simulator, running_azurite() as azurite:
        settings = environment(simulator.url) | stored_in(azurite)
        async with TableClient.from_connection_string(azurite.connection_string, "bare") as client:
            await client.create_table()
            await client.create_entity({"PartitionKey": "a", "RowKey": "b", "text": "x" * 200})
            rows = [
                ("not counted", IN_FLIGHT, *await _compare(settings, client), "5.50"),
                ("counted", IN_FLIGHT, *await _compare(settings | COUNTS_ADDRESSES, client), ""),
            ]
    return table(("addresses", "in flight", "create, us", "bare read, us", "ratio", "target"), *rows)


async def _compare(settings: dict[str, str], client: TableClient) -> tuple[str, str, str]:
    async def read() -> None:
        await client.get_entity("a", "b")

    async with broker_trigger(settings) as broker:
        # The first create makes the tables.
        await create(broker)
        return await compare(lambda: create(broker), read, IN_FLIGHT)
