"""`ops poison`: look at the messages that failed too often, give them back to the app, or drop them."""

from collections.abc import Collection
from dataclasses import dataclass, field

from local.ops.failures import Failure
from local.ops.output import Output, complain, counted, shown
from local.ops.poison_queue import PEEKED_AT_MOST, PoisonMessage, PoisonQueue
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE
from shared.text import rfc3339


async def list_poison(queue: PoisonQueue, out: Output, at_most: int = PEEKED_AT_MOST) -> None:
    """Show up to 32 messages, the oldest first; nothing is taken."""
    messages, count = await queue.peek(at_most), await queue.count()
    for message in messages:
        out.tell(_line(message), **_fields(message))
    out.summarise(f"{len(messages)} shown, about {max(count, len(messages))} in {POISON_QUEUE}")


async def replay_poison(queue: PoisonQueue, out: Output, chosen: Collection[str] | None) -> None:
    """Give the chosen messages (None: all) back to the app; raises `Failure` where one could not be.

    A message comes to the app as a new one, for the reason `replay` and from its first attempt, so that it is tried
    at once and its delays start short again. It leaves the poison queue after it was added to the other, so that
    none is lost; one that nobody can do anything with stays.
    """
    tally = _Tally(chosen)

    async def replayed(message: PoisonMessage) -> bool:
        if not tally.wants(message):
            return False
        if message.content is None:
            tally.refused.append(message.message_id)
            out.tell(f"kept      {_line(message)}", outcome="kept", **_fields(message))
            return False
        await queue.put_to_results(_as_replay(message.content))
        out.tell(f"replayed  {_line(message)}", outcome="replayed", **_fields(message))
        tally.done += 1
        return True

    await queue.go_through(replayed)
    out.summarise(f"{tally.done} given back to {RESULTS_QUEUE}")
    tally.require_all("unusable, and kept (ops poison drop ID removes one)")


async def drop_poison(queue: PoisonQueue, out: Output, chosen: Collection[str]) -> None:
    """Remove the chosen messages for good; raises `Failure` where one was not there."""
    tally = _Tally(chosen)

    async def dropped(message: PoisonMessage) -> bool:
        if not tally.wants(message):
            return False
        out.tell(f"dropped   {_line(message)}", outcome="dropped", **_fields(message))
        tally.done += 1
        return True

    await queue.go_through(dropped)
    out.summarise(f"{tally.done} dropped")
    tally.require_all("")


@dataclass(slots=True)
class _Tally:
    chosen: Collection[str] | None
    found: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    done: int = 0

    def wants(self, message: PoisonMessage) -> bool:
        self.found.add(message.message_id)
        return self.chosen is None or message.message_id in self.chosen

    def require_all(self, why_refused: str) -> None:
        for message_id in self.refused:
            complain(f"message {message_id}: {why_refused}")
        missing = [message_id for message_id in self.chosen or () if message_id not in self.found]
        for message_id in missing:
            complain(
                f"message {shown(message_id)}: not in {POISON_QUEUE} (or somebody else has taken it just now)"
            )
        if failed := len(self.refused) + len(missing):
            raise Failure(f"{counted(failed, 'message')} left")


def _as_replay(content: CollectMessage) -> CollectMessage:
    return CollectMessage(content.session_id, Reason.REPLAY, traceparent=content.traceparent)


def _line(message: PoisonMessage) -> str:
    head, content = f"{message.message_id}  {rfc3339(message.inserted_at)}", message.content
    if content is None:
        return f"{head}  unusable: {shown(message.why or '')}; it holds: {shown(message.text)}"
    return f"{head}  session {content.session_id}  reason {content.reason}  attempt {content.attempt}"


def _fields(message: PoisonMessage) -> dict[str, str | int | bool | None]:
    content = message.content
    fields: dict[str, str | int | bool | None] = {
        "id": message.message_id,
        "insertedOn": rfc3339(message.inserted_at),
        "usable": content is not None,
    }
    if content is None:
        return fields | {"why": message.why, "text": shown(message.text)}
    return fields | {
        "sessionId": content.session_id,
        "reason": content.reason.value,
        "attempt": content.attempt,
        "traceparent": content.traceparent,
    }
