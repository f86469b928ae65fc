"""`ops poison`: list the messages that failed too often, show one, replay them, or drop them."""

import argparse
import base64
import shlex
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from ops.access import QUEUE_WRITER, explained
from ops.connections import Connect, connected
from ops.output import CommandFailed, JsonValue, Output, confirm, counted, notify, printable, worded
from ops.poison_queue import MOST_PEEKED, PoisonMessage, PoisonQueue
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE, MessageQueue
from shared.text import rfc3339

_DRY_RUN: Final = "dry-run"
_REPLAYED: Final = "replayed"
_DROPPED: Final = "dropped"
_KEPT: Final = "kept"
_LONGEST_TEXT: Final = 64 * 1024
"""The largest message that a queue takes, in bytes."""

_Act = Callable[[PoisonMessage], Awaitable[str]]
"""Handles one message and returns what came of it: one of the words above."""


async def run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect) -> None:
    """Run one of the commands; raises `CommandFailed`."""
    output = Output(arguments.json)
    async with connected(arguments, environment, connect) as connections:
        queue = await connections.poison()
        if arguments.verb == "list":
            await list_poison(queue, output, every=arguments.all)
        elif arguments.verb == "show":
            await show_poison(queue, output, arguments.id)
        elif arguments.verb == "replay":
            chosen = None if arguments.all else arguments.ids
            await replay_poison(
                queue, output, chosen, None if arguments.dry_run else await connections.results()
            )
        else:
            await drop_poison(
                queue,
                output,
                arguments.ids,
                connections.account_option,
                dry_run=arguments.dry_run,
                yes=arguments.yes,
            )


async def list_poison(queue: PoisonQueue, output: Output, *, every: bool) -> None:
    """Show messages, the oldest first: up to 32, which the service shows without taking them, or every one.

    To show every one, it takes all for a moment, and gives them back.
    """
    count = await queue.count()
    messages = await (queue.take_all() if every else queue.peek()) if count else []
    for message in messages:
        output.result(_line(message), **fields_of(message))
    more = "; --all shows the others" if count > len(messages) == MOST_PEEKED else ""
    output.summary(f"{len(messages)} shown, about {max(count, len(messages))} in {POISON_QUEUE}{more}")


async def show_poison(queue: PoisonQueue, output: Output, message_id: str) -> None:
    """Show one message with its whole text; raises `CommandFailed` where it is not in the queue."""
    for messages in (queue.peek, queue.take_all):
        for message in await messages():
            if message.message_id == message_id:
                fields = fields_of(message) | {"text": printable(message.text, _LONGEST_TEXT)}
                # The text is printable already, and of any length.
                shown = [
                    f"{name:<13}{value if name == 'text' else worded(value)}"
                    for name, value in fields.items()
                ]
                output.result("\n".join(shown), **fields)
                return
    raise CommandFailed(_missing(message_id))


async def replay_poison(
    queue: PoisonQueue, output: Output, chosen: Collection[str] | None, results: MessageQueue | None
) -> None:
    """Give the chosen messages, or all, back to the app's queue `results`. Without it this is a dry run.

    The app gets a message as a new one with the reason `replay`, and tries it at once. It is added to the app's queue
    before it leaves the poison queue, so that none is lost. A message that cannot be used is kept.
    Raises `CommandFailed` where a message is left.
    """

    async def replay(message: PoisonMessage) -> str:
        content = message.content
        if content is None:
            return _KEPT
        if results is None:
            return _DRY_RUN
        again = CollectMessage(content.session_id, Reason.REPLAY, traceparent=content.traceparent)
        with explained(f"the queue {RESULTS_QUEUE}", QUEUE_WRITER):
            await results.send(again.to_text(), 0)
        return _REPLAYED

    outcomes = await _handle(queue, output, chosen, replay)
    verb = "given back to" if results else "would be given back to"
    kept = [message_id for message_id, outcome in outcomes if outcome == _KEPT]
    output.summary(f"{len(outcomes) - len(kept)} {verb} {RESULTS_QUEUE}")
    for message_id in kept:
        notify(f"message {message_id}: cannot be used, and was kept (ops poison drop ID removes it)")
    _require_all(chosen, outcomes, left=len(kept))


async def drop_poison(
    queue: PoisonQueue,
    output: Output,
    chosen: Collection[str],
    account_option: str,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove the chosen messages, after a question unless `yes`, and write how to undo it.

    Raises `CommandFailed` where the answer is no, or a message is not in the queue.
    """

    async def look(_: PoisonMessage) -> str:
        return _DRY_RUN

    async def drop(message: PoisonMessage) -> str:
        undo.append(_undo(message, account_option))
        return _DROPPED

    undo: list[str] = []
    if dry_run or not yes:
        outcomes = await _handle(queue, output, chosen, look)
        if outcomes and not dry_run:
            confirm(f"Drop {counted(len(outcomes), 'message')}?")
    if not dry_run:
        outcomes = await _handle(queue, output, chosen, drop)
    output.summary(f"{len(outcomes)} {'would be ' if dry_run else ''}dropped")
    for command in undo:
        notify(f"to undo: {command}")
    _require_all(chosen, outcomes)


async def _handle(
    queue: PoisonQueue, output: Output, chosen: Collection[str] | None, act: _Act
) -> list[tuple[str, str]]:
    """Take each chosen message, or all, and show what came of it. Return the ids with the outcomes."""
    outcomes: list[tuple[str, str]] = []

    async def handle(message: PoisonMessage) -> bool:
        if chosen is not None and message.message_id not in chosen:
            return False
        outcome = await act(message)
        outcomes.append((message.message_id, outcome))
        output.result(f"{outcome:<10}{_line(message)}", outcome=outcome, **fields_of(message))
        return outcome in (_REPLAYED, _DROPPED)

    await queue.take_each(handle)
    return outcomes


def _require_all(
    chosen: Collection[str] | None, outcomes: Collection[tuple[str, str]], *, left: int = 0
) -> None:
    """Name the chosen messages that were not there; raises `CommandFailed` for those, and for others that are left."""
    found = {message_id for message_id, _ in outcomes}
    missing = [message_id for message_id in chosen or () if message_id not in found]
    for message_id in missing:
        notify(_missing(message_id))
    if left := left + len(missing):
        raise CommandFailed(f"{counted(left, 'message')} left")


def _missing(message_id: str) -> str:
    return f"message {printable(message_id)}: not in {POISON_QUEUE}, or taken by another operator just now"


def _undo(message: PoisonMessage, account_option: str) -> str:
    """The command that brings a message back: to the app where it can be used, else to the poison queue."""
    if message.content is not None:
        return f"python -m ops session collect {message.content.session_id}"
    content = base64.b64encode(message.text.encode()).decode()
    return f"az storage message put {account_option} --queue-name {POISON_QUEUE} --content {shlex.quote(content)}"


def _line(message: PoisonMessage) -> str:
    head, content = f"{message.message_id}  {rfc3339(message.inserted_at)}", message.content
    if content is None:
        return f"{head}  unusable: {printable(message.flaw)}; text: {printable(message.text)}"
    return f"{head}  session {content.session_id}  reason {content.reason}  attempt {content.attempt}"


def fields_of(message: PoisonMessage) -> dict[str, JsonValue]:
    """List what is shown of a message."""
    fields: dict[str, JsonValue] = {
        "id": message.message_id,
        "insertedOn": rfc3339(message.inserted_at),
        "usable": message.content is not None,
    }
    if message.content is None:
        return fields | {"why": message.flaw, "text": printable(message.text)}
    return fields | {
        "sessionId": message.content.session_id,
        "reason": str(message.content.reason),
        "attempt": message.content.attempt,
        "traceparent": message.content.traceparent,
    }
