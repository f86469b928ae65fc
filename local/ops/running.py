"""From what the command line said to the command, with what it needs and no more."""

import argparse
from collections.abc import Mapping

from local.ops.failures import Misuse
from local.ops.output import Output
from local.ops.outside import Outside
from local.ops.poison import drop_poison, list_poison, replay_poison
from local.ops.republish import Republication
from local.ops.session import collect_session, show_session
from local.ops.settings import OpsSettings
from shared.clock import system_clock

_OF_SETTINGS = ("storage_account", "event_grid_topic_endpoint", "events_file")


async def perform(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Run one command; raises `Failure`."""
    given = {name: getattr(arguments, name, None) for name in _OF_SETTINGS}
    settings = OpsSettings.from_mapping(_without_other_sink(environment, given), given)
    settings.require_storage()
    outside = Outside(settings, environment)
    try:
        await _COMMANDS[arguments.subject](arguments, outside, Output(arguments.json))
    finally:
        await outside.aclose()


async def _poison(arguments: argparse.Namespace, outside: Outside, out: Output) -> None:
    queue = await outside.poison()
    if arguments.verb == "list":
        await list_poison(queue, out, arguments.max)
    elif arguments.verb == "replay":
        await replay_poison(queue, out, None if arguments.all else arguments.ids)
    else:
        await drop_poison(queue, out, arguments.ids)


async def _events(arguments: argparse.Namespace, outside: Outside, out: Output) -> None:
    _require_selection(arguments)
    publisher = None if arguments.dry_run else await outside.publisher()
    republication = Republication(await outside.store(), publisher, system_clock, out)
    if arguments.session:
        await republication.of_session(arguments.session)
    else:
        await republication.of_range(arguments.start, arguments.end)


async def _session(arguments: argparse.Namespace, outside: Outside, out: Output) -> None:
    store = await outside.store()
    if arguments.verb == "show":
        await show_session(store, out, arguments.session)
    else:
        await collect_session(store, await outside.results(), out, arguments.session)


def _require_selection(arguments: argparse.Namespace) -> None:
    ends = (arguments.start, arguments.end)
    if (arguments.session is None) == (ends == (None, None)) or (arguments.session is None and None in ends):
        raise Misuse("expected either --session, or --from and --to")
    if arguments.session is None and arguments.start >= arguments.end:
        raise Misuse("expected --from to be before --to")


def _without_other_sink(environment: Mapping[str, str], given: Mapping[str, str | None]) -> dict[str, str]:
    """A file that is asked for by name takes the place of the environment's topic."""
    hidden = {"EVENT_GRID_TOPIC_ENDPOINT"} if given["events_file"] else set()
    return {name: value for name, value in environment.items() if name not in hidden}


_COMMANDS = {"poison": _poison, "events": _events, "session": _session}
