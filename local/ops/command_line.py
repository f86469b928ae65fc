"""The command line of `python -m local ops`: what may be asked, and the exit status of how it went."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

from local.ops.failures import Failure
from local.ops.output import complain
from local.ops.poison_queue import PEEKED_AT_MOST
from local.ops.running import perform
from shared.face import session_ids

_DESCRIPTION = """
What an operator does by hand, see docs/operations.md. The storage account is told by --account, or by the app's own
settings AzureWebJobsStorage__accountName or AzureWebJobsStorage. The exit status is 0 where all was done, 1 where
something failed, 2 where the command was not understood.
"""


def add_ops(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `ops` to the commands of `python -m local`."""
    parser = commands.add_parser("ops", help="operate a deployed broker", description=_DESCRIPTION)
    subjects = parser.add_subparsers(dest="subject", required=True)
    _add_poison(subjects.add_parser("poison", help="messages that failed too often"))
    _add_events(subjects.add_parser("events", help="events, once more"))
    _add_session(subjects.add_parser("session", help="one session"))


def run_ops(arguments: argparse.Namespace, environment: Mapping[str, str] | None = None) -> int:
    """Do what the command line says, with the process's environment unless another is given; the exit status."""
    # The SDKs tell of every failure themselves, which is said here in one line.
    logging.basicConfig(handlers=[logging.NullHandler()])
    try:
        asyncio.run(perform(arguments, os.environ if environment is None else environment))
    except Failure as failure:
        complain(str(failure))
        return failure.status
    except BrokenPipeError:
        _let_go_of_stdout()
        return 1
    except KeyboardInterrupt:
        complain("interrupted; messages that were taken show again in five minutes")
        return 1
    return 0


def _let_go_of_stdout() -> None:
    """Whoever read the output (`| head`) has seen enough: nothing is to be flushed to it when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run `ops` with the words after it; raises `SystemExit` where they mean nothing."""
    return run_ops(parse_ops(arguments), environment)


def parse_ops(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the words after `ops`; raises `SystemExit` where they mean nothing."""
    parser = argparse.ArgumentParser(prog="python -m local")
    add_ops(parser.add_subparsers(dest="command", required=True))
    return parser.parse_args(["ops", *arguments])


def _add_poison(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="show messages, and take none")
    listing.add_argument(
        "--max", type=_count, default=PEEKED_AT_MOST, metavar="N", help="1 to 32 (default: %(default)s)"
    )
    replay = verbs.add_parser("replay", help="give messages back to the app")
    chosen = replay.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--all", action="store_true", help="all of them")
    chosen.add_argument("ids", nargs="*", default=[], metavar="ID", help="of a message, as `list` shows it")
    drop = verbs.add_parser("drop", help="remove messages for good")
    drop.add_argument("ids", nargs="+", metavar="ID", help="of a message, as `list` shows it")
    for verb in (listing, replay, drop):
        _add_common(verb)


def _add_events(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True)
    republish = verbs.add_parser("republish", help="publish events again, with the same ids and content")
    republish.add_argument("--session", type=_session_id, metavar="ID", help="the event of this session")
    republish.add_argument(
        "--from", type=_time, dest="start", metavar="T", help="the events from this time on"
    )
    republish.add_argument("--to", type=_time, dest="end", metavar="T", help="and before this one")
    republish.add_argument("--dry-run", action="store_true", help="show them, and publish nothing")
    sink = republish.add_mutually_exclusive_group()
    sink.add_argument(
        "--topic",
        dest="event_grid_topic_endpoint",
        metavar="URL",
        help="instead of EVENT_GRID_TOPIC_ENDPOINT",
    )
    sink.add_argument("--events-file", metavar="PATH", help="a file that takes them, one JSON line each")
    _add_common(republish)


def _add_session(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True)
    show = verbs.add_parser("show", help="what is kept of a session")
    collect = verbs.add_parser("collect", help="have its event published, where its message was lost")
    for verb in (show, collect):
        verb.add_argument("session", type=_session_id, metavar="ID")
        _add_common(verb)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--account",
        dest="storage_account",
        metavar="NAME",
        help="the storage account, instead of AzureWebJobsStorage__accountName",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= PEEKED_AT_MOST):
        raise argparse.ArgumentTypeError(f"expected 1 to {PEEKED_AT_MOST}")
    return int(text)


def _session_id(text: str) -> str:
    if (parsed := session_ids.parse(text.lower())) is None:
        raise argparse.ArgumentTypeError("expected a session id")
    return parsed


def _time(text: str) -> int:
    """Read RFC 3339 as unix milliseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError("expected a time with its zone, such as 2026-11-23T10:00:00Z")
    return round(moment.timestamp() * 1000)
