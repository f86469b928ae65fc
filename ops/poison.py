"""`ops poison`: list the messages that failed too often, replay them, or drop them."""

import argparse
from collections.abc import Collection, Mapping
from typing import Final

from ops.access import QUEUE_WRITER, explained
from ops.connections import Connect, connected
from ops.output import CommandFailed, JsonValue, Output, counted, notify, printable
from ops.poison_queue import PoisonMessage, PoisonQueue
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE, MessageQueue
from shared.text import rfc3339

_KEPT: Final = "kept"


async def run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect) -> None:
    """Run one of the commands; raises `CommandFailed`."""
    output = Output(arguments.json)
    async with connected(arguments, environment, connect) as connections:
        queue = await connections.poison()
        if arguments.verb == "list":
            await list_poison(queue, output, arguments.max)
        elif arguments.verb == "replay":
            chosen = None if arguments.all else arguments.ids
            await empty_poison(queue, output, chosen, await connections.results())
        else:
            await empty_poison(queue, output, arguments.ids)


async def list_poison(queue: PoisonQueue, output: Output, limit: int) -> None:
    """Show up to 32 messages, the oldest first, without taking them."""
    count = await queue.count()
    messages = await queue.peek(limit) if count else []
    for message in messages:
        output.result(_line(message), **_fields(message))
    output.summary(f"{len(messages)} shown, about {max(count, len(messages))} in {POISON_QUEUE}")


async def empty_poison(
    queue: PoisonQueue, output: Output, chosen: Collection[str] | None, results: MessageQueue | None = None
) -> None:
    """Give the chosen messages, or all, back to the app; drop them without `results`, the app's queue.

    The app gets a message as a new one with the reason `replay`, and tries it at once. It is added to the app's queue
    before it leaves the poison queue, so that none is lost. A message that cannot be used is kept.
    Raises `CommandFailed` where a message is left.
    """
    outcomes: dict[str, str] = {}

    async def handle(message: PoisonMessage) -> bool:
        if chosen is not None and message.message_id not in chosen:
            return False
        outcome = await _replay(message, results) if results else "dropped"
        outcomes[message.message_id] = outcome
        output.result(f"{outcome:<10}{_line(message)}", outcome=outcome, **_fields(message))
        return outcome != _KEPT

    await queue.take_each(handle)
    kept = [message_id for message_id, outcome in outcomes.items() if outcome == _KEPT]
    missing = [message_id for message_id in chosen or () if message_id not in outcomes]
    verb = f"given back to {RESULTS_QUEUE}" if results else "dropped"
    output.summary(f"{len(outcomes) - len(kept)} {verb}")
    for message_id in kept:
        notify(f"message {message_id}: cannot be used, and was kept (ops poison drop ID removes it)")
    for message_id in missing:
        notify(
            f"message {printable(message_id)}: not in {POISON_QUEUE}, or taken by another operator just now"
        )
    if left := len(kept) + len(missing):
        raise CommandFailed(f"{counted(left, 'message')} left")


async def _replay(message: PoisonMessage, results: MessageQueue) -> str:
    content = message.content
    if content is None:
        return _KEPT
    again = CollectMessage(content.session_id, Reason.REPLAY, traceparent=content.traceparent)
    with explained(f"the queue {RESULTS_QUEUE}", QUEUE_WRITER):
        await results.send(again.to_text(), 0)
    return "replayed"


def _line(message: PoisonMessage) -> str:
    head, content = f"{message.message_id}  {rfc3339(message.inserted_at)}", message.content
    if content is None:
        return f"{head}  unusable: {printable(message.flaw)}; text: {printable(message.text)}"
    return f"{head}  session {content.session_id}  reason {content.reason}  attempt {content.attempt}"


def _fields(message: PoisonMessage) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {
        "id": message.message_id,
        "insertedOn": rfc3339(message.inserted_at),
        "usable": message.content is not None,
    }
    if message.content is None:
        return fields | {"why": message.flaw, "text": printable(message.text)}
    return fields | {
        "sessionId": message.content.session_id,
        "reason": message.content.reason.value,
        "attempt": message.content.attempt,
        "traceparent": message.content.traceparent,
    }
