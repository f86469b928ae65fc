"""Phones: what each does with its session, and the event that the session must end with."""

import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx

from shared.events.cloud_event import COMPLETED, EXPIRED
from tests.faults.service import Service

Story = Literal["comes back", "stays away", "revokes", "checks and revokes", "comes back and revokes"]

End = tuple[str, str | None, str | None]
"""A terminal event: its type, decision and failure."""

_ENDS: Final[Mapping[str, End]] = {
    "sim-realface": (COMPLETED, "realface", None),
    "sim-spoofface": (COMPLETED, "spoofface", None),
    "sim-uncertain": (COMPLETED, "uncertain", None),
    "sim-mask": (COMPLETED, None, "FaceWithMaskDetected"),
    "sim-no-attempt": (EXPIRED, None, None),
    "sim-abandoned": (EXPIRED, None, None),
}
# How many of a hundred phones have which scenario of the simulator and story.
_CAST: Final[Mapping[tuple[str, Story], int]] = {
    ("sim-realface", "comes back"): 22,
    ("sim-realface", "stays away"): 14,
    ("sim-realface", "revokes"): 6,
    ("sim-realface", "checks and revokes"): 3,
    ("sim-realface", "comes back and revokes"): 3,
    ("sim-spoofface", "comes back"): 9,
    ("sim-spoofface", "stays away"): 7,
    ("sim-uncertain", "comes back"): 6,
    ("sim-uncertain", "stays away"): 5,
    ("sim-mask", "comes back"): 6,
    ("sim-mask", "stays away"): 5,
    ("sim-no-attempt", "stays away"): 8,
    ("sim-abandoned", "stays away"): 6,
}
_WITHOUT_RESULT: Final = ("revokes",)
_PATIENCE: Final = 300
_TRY_AGAIN: Final = (409, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Part:
    """A phone's device id, which chooses the scenario, its story, and the end of its session (None: no event)."""

    device_id: str
    story: Story
    end: End | None


def cast(count: int) -> list[Part]:
    """Make the parts of so many phones (a multiple of a hundred), always in the same order."""
    parts = [
        Part(
            f"{scenario}.{secrets.token_hex(6)}", story, None if story in _WITHOUT_RESULT else _ENDS[scenario]
        )
        for (scenario, story), share in _CAST.items()
        for _ in range(share * count // 100)
    ]
    random.Random(count).shuffle(parts)  # noqa: S311 - an order, not a secret.
    return parts


@dataclass(slots=True)
class Phone:
    """A phone that repeats a failed call after its `Retry-After`, by the service's clock."""

    service: Service
    part: Part
    session: dict[str, Any] | None = None
    refused: int = 0

    async def play(self) -> None:
        """Play the part to its end."""
        story = self.part.story
        self.session = await self._create()
        if story != "revokes":
            await self._perform()
        if story.startswith("comes back"):
            assert await self._result() == self.part.end
        if story.endswith("revokes"):
            answer = await self._patiently(lambda: self.service.http.delete(self._path, headers=self._token))
            assert answer.status_code == 204

    @property
    def session_id(self) -> str:
        """The id of the session that the phone got."""
        assert self.session
        return str(self.session["sessionId"])

    @property
    def _path(self) -> str:
        return f"/api/sessions/{self.session_id}"

    @property
    def _token(self) -> dict[str, str]:
        assert self.session
        return {"X-Session-Token": str(self.session["authToken"])}

    async def _create(self) -> dict[str, Any]:
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": self.part.device_id}
        # With a key a repeated create gets the same session, without one another session.
        headers = secrets.choice(({}, {"Idempotency-Key": secrets.token_hex(16)}))
        answer = await self._patiently(
            lambda: self.service.http.post("/api/sessions", json=body, headers=headers)
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def _perform(self) -> None:
        assert self.session
        headers = {"Authorization": f"Bearer {self.session['authToken']}"}
        answer = await self.service.phone.post("/simulator/perform", headers=headers)
        assert answer.status_code == 200, answer.text

    async def _result(self) -> End:
        while True:
            answer = await self._patiently(lambda: self.service.http.get(self._path, headers=self._token))
            assert answer.status_code == 200, answer.text
            result = answer.json()
            if result["status"] == "ResultAvailable":
                return COMPLETED, result["livenessDecision"], (result["failure"] or {}).get("code")
            self._wait(answer)

    async def _patiently(self, ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        for _ in range(_PATIENCE):
            answer = await ask()
            if answer.status_code not in _TRY_AGAIN:
                return answer
            self.refused += 1
            self._wait(answer)
        raise AssertionError("the service does not recover")

    def _wait(self, answer: httpx.Response) -> None:
        self.service.clock.advance_seconds(float(answer.headers.get("Retry-After", 0)))


def end_of(event: Mapping[str, Any]) -> End:
    """Read the end of a session from its event."""
    data = event["data"]
    return event["type"], data["livenessDecision"], (data["failure"] or {}).get("code")
