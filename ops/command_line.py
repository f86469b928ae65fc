"""The command line of `python -m ops`: its arguments, and the exit status."""

import argparse
import asyncio
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.output import CommandFailed, notify
from shared.text import parse_session_id, system_clock

if TYPE_CHECKING:
    from ops.connections import Connect

_DESCRIPTION: Final = """
Operate a deployed broker; see docs/operations.md. Secrets come from the environment, because other users of a machine
see the arguments of its processes. Exit status: 0 all done, 1 something failed, 2 wrong arguments or settings.
"""
_FUNCTION_KEY: Final = (
    "BROKER_KEY is the function key `default` of the app: az functionapp keys list --resource-group GROUP --name APP "
    "--query functionKeys.default --output tsv; `make run` prints its own"
)
_AGO: Final = re.compile(r"-(\d{1,6})([smhd])", re.ASCII)
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def main(
    words: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    connect: "Connect | None" = None,
) -> int:
    """Run one command and return the exit status; raises `SystemExit` where the arguments are wrong.

    `connect` opens the storage account in place of Azure, for tests.
    """
    arguments = parse(words)
    # The SDKs log each failure, which the command itself reports in one line.
    logging.basicConfig(handlers=[logging.NullHandler()])
    try:
        _run(arguments, environment, connect)
    except CommandFailed as failure:
        notify(str(failure))
        return failure.status
    except ModuleNotFoundError as error:
        notify(f"{error.name} is not installed: run pip install -r requirements.txt")
        return 2
    except BrokenPipeError:
        # The reader (`| head`) has closed the pipe: do not flush to it when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        taken = "; any message that was taken shows again after five minutes at the latest"
        notify(f"interrupted{taken if arguments.noun == 'poison' else ''}")
        return 1
    return 0


def _run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: "Connect | None") -> None:
    """Import and run the command. The first three run where only Python is installed: nothing else is imported."""
    if arguments.noun == "preflight":
        from ops import preflight

        return preflight.run(arguments, environment)
    if arguments.noun == "publish":
        from ops import publish

        return publish.run(arguments)
    if arguments.noun == "smoke":
        from ops import smoke

        return smoke.run(arguments, environment)
    from ops import device, drill, erase, events, poison, session
    from ops.connections import Connections

    nouns = {
        "device": device.run,
        "drill": drill.run,
        "events": events.run,
        "poison": poison.run,
        "session": session.run,
    }
    command = erase.run if arguments.verb == "erase" else nouns[arguments.noun]
    return asyncio.run(command(arguments, environment, connect or Connections))


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments; raises `SystemExit` where they are wrong."""
    return make_parser().parse_args(_joined(sys.argv[1:] if words is None else words))


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m ops", description=_DESCRIPTION)
    nouns = parser.add_subparsers(dest="noun", required=True)
    written = argparse.ArgumentParser(add_help=False)
    written.add_argument("--json", action="store_true", help="write one JSON object a line")
    for name, about, add_options in (
        ("preflight", "find what would block a deployment", _add_preflight),
        ("publish", "send a package to a function app", _add_publish),
        ("smoke", "run one session against a broker", _add_smoke),
    ):
        add_options(nouns.add_parser(name, help=about, parents=[written]))
    common = argparse.ArgumentParser(add_help=False, parents=[written])
    common.add_argument(
        "--account", dest="storage_account", metavar="NAME", help="replaces AzureWebJobsStorage__accountName"
    )

    vault = argparse.ArgumentParser(add_help=False)
    vault.add_argument("--vault", dest="key_vault_url", metavar="URL", help="replaces KEY_VAULT_URL")

    drill = nouns.add_parser(
        "drill", parents=[common], help="fill a local Azurite with a bad night, to practise"
    )
    drill.set_defaults(verb=None)

    def add_noun(noun: str, about: str) -> Callable[[str, str], argparse.ArgumentParser]:
        verbs = nouns.add_parser(noun, help=about).add_subparsers(dest="verb", required=True)
        parents = [common] if noun == "poison" else [common, vault]
        return lambda verb, does: verbs.add_parser(verb, help=does, parents=parents)

    add = add_noun("poison", "messages that failed too often")
    listing = add("list", "show up to 32 messages without taking them")
    listing.add_argument("--all", action="store_true", help="show all, which hides them for a moment")
    add("show", "show one message with its whole text").add_argument("id", metavar="ID")
    replay = add("replay", "give messages back to the app")
    chosen = replay.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--all", action="store_true", help="replay all messages")
    chosen.add_argument("ids", nargs="*", default=[], metavar="ID", help="of a message, as `list` shows it")
    replay.add_argument("--dry-run", action="store_true", help="show the messages without replaying them")
    drop = add("drop", "remove messages")
    drop.add_argument("ids", nargs="+", metavar="ID", help="of a message, as `list` shows it")
    _add_caution(drop)
    add = add_noun("events", "events of ended sessions")
    _add_republish(add("republish", "publish events again, with the same ids and content"))
    add = add_noun("session", "one session")
    for verb, does in (
        ("show", "show the record of a session"),
        ("collect", "have the event of a session published whose message was lost"),
    ):
        add(verb, does).add_argument("session", type=_session_id, metavar="ID")
    _add_find(add("find", "list sessions by transaction, device, person or time"))
    _add_erase(add("erase", "delete what the broker keeps of sessions, and tell subscribers"))
    add = add_noun("device", "the limits of one device and its person")
    _add_device(add("show", "show how much of the limits is used"))
    _add_device(reset := add("reset", "clear what counts against the limits"))
    _add_caution(reset)
    return parser


def _joined(words: Sequence[str]) -> list[str]:
    """Write `--from -2h` as `--from=-2h`: argparse takes a word with a hyphen for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in ("--from", "--to") and _AGO.fullmatch(word):
            word = f"{joined.pop()}={word}"
        joined.append(word)
    return joined


def _add_preflight(parser: argparse.ArgumentParser) -> None:
    parser.description = """
    Find what would block a deployment, or what a running broker lacks (--url). Changes nothing. For a deployment `az`,
    signed in, and `az bicep install` are needed; for `azd` the subscription is AZURE_SUBSCRIPTION_ID where it is set. A
    running broker needs a function key, BROKER_KEY, and behind Easy Auth a bearer token, BROKER_TOKEN.
    """
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("environment", nargs="?", choices=("dev", "prod", "azd"), help="what to deploy")
    target.add_argument("--url", help="a running broker, such as http://127.0.0.1:7071")
    parser.epilog = _FUNCTION_KEY


def _add_publish(parser: argparse.ArgumentParser) -> None:
    parser.description = """
    Send a package to a function app, and wait until it is deployed. Needs `az`, signed in. Tries again for a quarter of
    an hour where a new role has not reached the app's storage account.
    """
    parser.add_argument("group", type=_name, metavar="RESOURCE_GROUP", help="the resource group of the app")
    parser.add_argument("app", type=_name, metavar="FUNCTION_APP", help="the name of the app")
    parser.add_argument("package", type=Path, metavar="PACKAGE", help="what scripts/package.py built")
    parser.add_argument("--subscription", metavar="ID", help="of the app, unless `az` has selected it")
    parser.add_argument(
        "--admitted",
        action="store_true",
        help="a rule that lets this machine in was just made: try for three minutes",
    )


def _add_smoke(parser: argparse.ArgumentParser) -> None:
    parser.description = """
    Create, read and revoke one session. Costs one session at Face, and up to five calls. BROKER_TOKEN is a server's
    bearer token: it reads and audits the session too, which needs the role Liveness.Operate and no function key. With
    BROKER_KEY the command checks the dependencies too (/api/ready).
    """
    parser.epilog = _FUNCTION_KEY
    parser.add_argument("url", metavar="URL", help="such as https://func-dev-weu-abc.azurewebsites.net")
    parser.add_argument("--anonymous", action="store_true", help="the broker does not authenticate callers")
    parser.add_argument(
        "--release", type=Path, metavar="PACKAGE", help="the package of which version and commit have to run"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="how long to wait for the app, its roles, and Face",
    )


def _add_republish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", type=_session_id, metavar="ID", help="the event of this session")
    _add_range(parser, "events")
    parser.add_argument("--dry-run", action="store_true", help="show the events without publishing them")
    _add_sink(parser)


def _add_find(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "List the sessions that have all that is given, the oldest first. Reads the whole table."
    )
    parser.add_argument("--reference", metavar="TEXT", help="the transaction, `clientReference` in events")
    parser.add_argument("--principal", metavar="NAME", help="the person, as events name it")
    parser.add_argument("--device", metavar="DEVICE", help="the device: its own id, or its pseudonym")
    parser.add_argument("--caller", metavar="NAME", help="the signed-in caller that DEVICE belongs to")
    parser.add_argument("--owed", action="store_true", help="the token has ended, and no event is published")
    _add_range(parser, "sessions created")


def _add_erase(parser: argparse.ArgumentParser) -> None:
    parser.description = """
    Publish liveness.session.erased for each session, then delete its record and the limits of its device and person,
    and have it deleted at Face. All but a session ID read the whole table.
    """
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("session", nargs="?", type=_session_id, metavar="ID", help="this session")
    which.add_argument("--reference", metavar="TEXT", help="the sessions of this transaction")
    which.add_argument("--principal", metavar="NAME", help="the sessions of this person, as events name it")
    which.add_argument("--device", metavar="DEVICE", help="of this device: its own id, or its pseudonym")
    parser.add_argument("--caller", metavar="NAME", help="the signed-in caller that DEVICE belongs to")
    _add_caution(parser)
    _add_sink(parser)


def _add_sink(parser: argparse.ArgumentParser) -> None:
    sink = parser.add_mutually_exclusive_group()
    sink.add_argument(
        "--topic", dest="event_grid_topic_endpoint", metavar="URL", help="replaces EVENT_GRID_TOPIC_ENDPOINT"
    )
    sink.add_argument("--events-file", metavar="PATH", help="write the events to a file, one JSON line each")


def _add_range(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--from",
        type=_time,
        dest="start",
        metavar="T",
        help=f"{what} from this time on, such as -2h (s, m, h, d)",
    )
    parser.add_argument(
        "--to", type=_time, dest="end", metavar="T", help="and before this time (default: now)"
    )


def _add_caution(parser: argparse.ArgumentParser) -> None:
    careful = parser.add_mutually_exclusive_group()
    careful.add_argument("--dry-run", action="store_true", help="show what it would be, and change nothing")
    careful.add_argument("--yes", action="store_true", help="do not ask first")


def _add_device(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "device",
        nargs="?",
        metavar="DEVICE",
        help="the id that the app sends, or the pseudonym in logs and records",
    )
    which.add_argument(
        "--session", type=_session_id, metavar="ID", help="the device and person of this session"
    )
    parser.add_argument(
        "--caller", metavar="NAME", help="the signed-in caller of DEVICE, as `principal` in `session show`"
    )
    parser.add_argument(
        "--limits-of",
        metavar="NAME",
        help="the client id or issuer of the caller, if THROTTLE_OVERRIDES has limits for it",
    )


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is missing")
    return text


def _session_id(text: str) -> str:
    if (parsed := parse_session_id(text.lower())) is None:
        raise argparse.ArgumentTypeError("expected a session id")
    return parsed


def _time(text: str) -> int:
    """Read an RFC 3339 time, or a time before now such as `-2h`, as unix milliseconds."""
    if ago := _AGO.fullmatch(text):
        return system_clock() - int(ago[1]) * _UNIT_MS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            "expected a time with its zone, such as 2026-11-23T10:00:00Z, or -2h"
        )
    return round(moment.timestamp() * 1000)
