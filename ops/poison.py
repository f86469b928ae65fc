"""`ops poison`: list the messages that failed too often, replay them, or drop them."""

import argparse
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from ops.access import QUEUE_WRITER, explained
from ops.connections import Connect, connected
from ops.output import CommandFailed, JsonValue, Output, counted, notify, printable
from ops.poison_queue import PoisonMessage, PoisonQueue
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE, MessageQueue
from shared.text import rfc3339

_KEPT: Final = "kept"

_Action = Callable[[PoisonMessage], Awaitable[str]]
"""Does something with a message; returns the outcome. A message that is not kept leaves the poison queue."""


async def run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect) -> None:
    """Run one of the commands; raises `CommandFailed`."""
    output = Output(arguments.json)
    async with connected(arguments, environment, connect) as connections:
        queue = await connections.poison()
        if arguments.verb == "list":
            await list_poison(queue, output, arguments.max)
        elif arguments.verb == "replay":
            results = await connections.results()
            await replay_poison(queue, results, output, None if arguments.all else arguments.ids)
        else:
            await drop_poison(queue, output, arguments.ids)


async def list_poison(queue: PoisonQueue, output: Output, limit: int) -> None:
    """Show up to 32 messages, the oldest first, without taking them."""
    messages, count = await queue.peek(limit), await queue.count()
    for message in messages:
        output.result(_line(message), **_fields(message))
    output.summary(f"{len(messages)} shown, about {max(count, len(messages))} in {POISON_QUEUE}")


async def replay_poison(
    queue: PoisonQueue, results: MessageQueue, output: Output, chosen: Collection[str] | None
) -> None:
    """Give the chosen messages, or all, back to the app; raises `CommandFailed` where one is left.

    The app gets a message as a new one with the reason `replay`, and tries it at once. It is added to the app's queue
    before it leaves the poison queue, so that none is lost. A message that cannot be used is kept.
    """

    async def replay(message: PoisonMessage) -> str:
        if message.content is None:
            return _KEPT
        again = CollectMessage(
            message.content.session_id, Reason.REPLAY, traceparent=message.content.traceparent
        )
        with explained(f"the queue {RESULTS_QUEUE}", QUEUE_WRITER):
            await results.send(again.to_text(), 0)
        return "replayed"

    outcomes = await _apply(replay, queue, output, chosen)
    kept = [message_id for message_id, outcome in outcomes.items() if outcome == _KEPT]
    output.summary(f"{len(outcomes) - len(kept)} given back to {RESULTS_QUEUE}")
    for message_id in kept:
        notify(f"message {message_id}: cannot be used, and was kept (ops poison drop ID removes it)")
    _require_all(chosen, outcomes, len(kept))


async def drop_poison(queue: PoisonQueue, output: Output, chosen: Collection[str]) -> None:
    """Remove the chosen messages for good; raises `CommandFailed` where one is not there."""

    async def drop(_: PoisonMessage) -> str:
        return "dropped"

    outcomes = await _apply(drop, queue, output, chosen)
    output.summary(f"{len(outcomes)} dropped")
    _require_all(chosen, outcomes, 0)


async def _apply(
    action: _Action, queue: PoisonQueue, output: Output, chosen: Collection[str] | None
) -> dict[str, str]:
    """Apply an action to the chosen messages, or to all; returns the outcomes by message id."""
    outcomes: dict[str, str] = {}

    async def handle(message: PoisonMessage) -> bool:
        if chosen is not None and message.message_id not in chosen:
            return False
        outcome = outcomes[message.message_id] = await action(message)
        output.result(f"{outcome:<10}{_line(message)}", outcome=outcome, **_fields(message))
        return outcome != _KEPT

    await queue.take_each(handle)
    return outcomes


def _require_all(chosen: Collection[str] | None, outcomes: Mapping[str, str], kept: int) -> None:
    missing = [message_id for message_id in chosen or () if message_id not in outcomes]
    for message_id in missing:
        notify(
            f"message {printable(message_id)}: not in {POISON_QUEUE}, or taken by another operator just now"
        )
    if left := kept + len(missing):
        raise CommandFailed(f"{counted(left, 'message')} left")


def _line(message: PoisonMessage) -> str:
    head, content = f"{message.message_id}  {rfc3339(message.inserted_at)}", message.content
    if content is None:
        return f"{head}  unusable: {printable(message.flaw)}; text: {printable(message.text)}"
    return f"{head}  session {content.session_id}  reason {content.reason}  attempt {content.attempt}"


def _fields(message: PoisonMessage) -> dict[str, JsonValue]:
    content = message.content
    fields: dict[str, JsonValue] = {
        "id": message.message_id,
        "insertedOn": rfc3339(message.inserted_at),
        "usable": content is not None,
    }
    if content is None:
        return fields | {"why": message.flaw, "text": printable(message.text)}
    return fields | {
        "sessionId": content.session_id,
        "reason": content.reason.value,
        "attempt": content.attempt,
        "traceparent": content.traceparent,
    }
