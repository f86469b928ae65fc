"""A broker that is killed at random moments while phones create sessions, and started again."""

import asyncio
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.soak.world import World, running_world

_WORKERS: Final = 4
_PAUSE_SECONDS: Final = 0.15
_ANSWERS_OF_LIFE: Final = 12
"""A broker is killed after it answered so many creates at most, ..."""
_LIFE_SECONDS: Final = 10
"""... or after so many seconds, ..."""
_LAST_SECONDS: Final = 0.3
"""... and then at any moment of this time, in which creates are under way."""
_TOKEN_SECONDS: Final = 60
_REPEATED_SECONDS: Final = 45
"""For how long an answered create is repeated: its answer is kept for the life of the token."""
_AGAIN: Final = (409, 502, 503, 504)
_REPEAT_SECONDS: Final = 90
"""Until when each key must have an answer: the claim of a dead process blocks it for 32 seconds."""
_SETTLE_SECONDS: Final = 600


@dataclass(slots=True)
class Creates:
    """What phones were told: the sessions under each key with the end of their tokens, and those without a key."""

    disclosed: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    without_key: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    doubled: list[str] = field(default_factory=list)

    def tell(self, key: str | None, session_id: str) -> None:
        """Note an answer; a second session under a key while the first can be used is a fault."""
        now = time.time()
        if key is None:
            self.without_key.add(session_id)
            return
        if any(session_id != other and now < end for other, end in self.disclosed[key]):
            self.doubled.append(key)
        self.disclosed[key].append((session_id, now + _TOKEN_SECONDS))

    @property
    def unanswered(self) -> list[str]:
        """The keys whose phones got no session yet."""
        return [key for key, told in self.disclosed.items() if not told]

    @property
    def sessions(self) -> set[str]:
        """All sessions that a phone was given."""
        return self.without_key | {session_id for told in self.disclosed.values() for session_id, _ in told}

    def choose(self, chance: random.Random) -> str | None:
        """A new create without a key or with one, or the repeat of an earlier one."""
        now = time.time()
        match chance.randrange(4):
            case 0 | 1:
                return None
            case 2 if self.disclosed:
                recent = [
                    key
                    for key, told in list(self.disclosed.items())[-100:]
                    if not told or now < told[0][1] - _TOKEN_SECONDS + _REPEATED_SECONDS
                ]
                if recent:
                    return chance.choice(recent)
        key = secrets.token_hex(16)
        self.disclosed[key] = []
        return key


async def kill_again_and_again(kills: int, seed: int) -> bool:
    """Kill the broker so often; returns whether each session has its event, and no key gave two sessions."""
    async with running_world(FACE_MAX_TPS="1000") as world:
        creates, chance, ended = Creates(), random.Random(seed), asyncio.Event()  # noqa: S311 - moments, not secrets.
        workers = [
            asyncio.create_task(_create_on(world, creates, random.Random(chance.random()), ended))  # noqa: S311
            for _ in range(_WORKERS)
        ]
        for number in range(1, kills + 1):
            await _let_live(creates, chance)
            await world.kill()
            await world.start()
            if number % 10 == 0:
                print(f"killed {number} times; {dict(creates.answers)}", flush=True)
        ended.set()
        await asyncio.gather(*workers)
        await _repeat_unanswered(world, creates)
        count, left = await world.settle(_SETTLE_SECONDS)
        unrecorded = creates.sessions - set(world.events())
        print(
            f"{count} sessions with a record, {len(creates.sessions)} given to phones; "
            f"{len(left)} of the records and {len(unrecorded)} of the given ones without an event; "
            f"{len(creates.disclosed)} keys, {len(creates.doubled)} with two sessions, "
            f"{len(creates.unanswered)} without an answer; "
            f"{world.left_at_face} sessions that only Face knows"
        )
        return not (left or unrecorded or creates.doubled or creates.unanswered)


async def _let_live(creates: Creates, chance: random.Random) -> None:
    enough = creates.answers["200"] + chance.randint(0, _ANSWERS_OF_LIFE)
    end = time.monotonic() + _LIFE_SECONDS
    while creates.answers["200"] < enough and time.monotonic() < end:  # noqa: ASYNC110 - ten milliseconds do not matter.
        await asyncio.sleep(0.01)
    await asyncio.sleep(chance.uniform(0, _LAST_SECONDS))


async def _create_on(world: World, creates: Creates, chance: random.Random, ended: asyncio.Event) -> None:
    while not ended.is_set():
        await _create(world, creates, creates.choose(chance))
        await asyncio.sleep(_PAUSE_SECONDS)


async def _repeat_unanswered(world: World, creates: Creates) -> None:
    end = time.monotonic() + _REPEAT_SECONDS
    while creates.unanswered and time.monotonic() < end:
        for key in creates.unanswered:
            await _create(world, creates, key)
        await asyncio.sleep(1)


async def _create(world: World, creates: Creates, key: str | None) -> None:
    body: dict[str, Any] = {
        "livenessOperationMode": "Passive",
        "deviceCorrelationId": key or secrets.token_hex(16),
        "authTokenTimeToLiveInSeconds": _TOKEN_SECONDS,
    }
    try:
        answer = await world.http.post(
            "/api/sessions", json=body, headers={"Idempotency-Key": key} if key else {}
        )
    except httpx.ConnectError:
        # It is being started again.
        await asyncio.sleep(_PAUSE_SECONDS)
        return
    except httpx.TransportError:
        creates.answers["lost"] += 1
        return
    creates.answers[str(answer.status_code)] += 1
    if answer.status_code == 200:
        creates.tell(key, answer.json()["sessionId"])
    elif answer.status_code not in _AGAIN:
        raise AssertionError(f"a create was answered {answer.status_code}: {answer.text}")
