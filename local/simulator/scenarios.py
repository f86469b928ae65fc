"""The magic device ids: one table, from which behaviour, docs page and listing are made."""

from dataclasses import dataclass
from typing import Literal

from local.simulator import errors
from local.simulator.messages import Answer

Call = Literal["perform", "create", "get", "delete"]
"""Where a scenario shows: in the phone's check, or in one of the broker's calls."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt ended without a decision."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt comes to: a decision or a failure.

    With `phone_digest_differs` the phone is told another digest than the result holds.
    """

    decision: str | None = None
    failure: Failure | None = None
    phone_digest_differs: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of a call.

    It is refused with `answer`; without one it takes effect, and its answer is late by `delay_s` seconds or
    `lost`. `times` is how many calls of a session meet the fault (None: all).
    """

    answer: Answer | None = None
    delay_s: float = 0.0
    lost: bool = False
    times: int | None = None

    def meets(self, earlier_calls: int) -> bool:
        """Tell whether the call after `earlier_calls` of the same kind meets this fault."""
        return self.times is None or earlier_calls < self.times


REALFACE = Outcome(decision="realface")
MASK = Outcome(failure=Failure("FaceWithMaskDetected", "Mask detected on face image."))


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens to the sessions of one magic device id.

    `attempts` are the outcomes of the first, second, ... attempt, the last one standing for all that follow;
    with none, the phone's check makes no attempt. `starts` is false where it does not even start the session,
    and `cancels` true where it leaves the session canceled.
    """

    device_id: str
    call: Call
    happens: str
    attempts: tuple[Outcome, ...] = (REALFACE,)
    starts: bool = True
    cancels: bool = False
    fault: Fault | None = None

    def outcome(self, earlier_attempts: int) -> Outcome | None:
        """Answer the outcome of the next attempt, or None where there is no attempt."""
        return self.attempts[min(earlier_attempts, len(self.attempts) - 1)] if self.attempts else None

    def fault_of(self, call: Call) -> Fault | None:
        """Answer the fault that `call` meets."""
        return self.fault if self.call == call else None


def _attempts(
    device_id: str, happens: str, *attempts: Outcome, starts: bool = True, cancels: bool = False
) -> Scenario:
    return Scenario(device_id, "perform", happens, attempts, starts, cancels)


def _refused(call: Call, name: str, answer: Answer, happens: str, times: int | None = None) -> Scenario:
    return Scenario(f"sim-{_WORDS[call]}-{name}", call, happens, fault=Fault(answer, times=times))


def _late(call: Call, happens: str) -> Scenario:
    return Scenario(f"sim-{_WORDS[call]}-slow", call, happens, fault=Fault(delay_s=SLOW_S))


SLOW_S = 30.0
"""Longer than any deadline that the broker sets for a call."""

_WORDS: dict[Call, str] = {"create": "create", "get": "result", "delete": "delete"}

SCENARIOS = (
    _attempts("sim-realface", "The decision is `realface`, as for every other device id.", REALFACE),
    _attempts("sim-spoofface", "The decision is `spoofface`.", Outcome("spoofface")),
    _attempts("sim-uncertain", "The decision is `uncertain`.", Outcome("uncertain")),
    _attempts("sim-mask", "Each attempt fails with `FaceWithMaskDetected`: there is no decision.", MASK),
    _attempts(
        "sim-second-passes",
        "The first attempt fails because of a mask, the second decides `realface`.",
        MASK,
        REALFACE,
    ),
    _attempts(
        "sim-second-spoofs",
        "The first attempt decides `realface`, the second `spoofface`.",
        REALFACE,
        Outcome("spoofface"),
    ),
    _attempts(
        "sim-digest-mismatch",
        "The decision is `realface`, but the phone is told another digest than the result holds.",
        Outcome("realface", phone_digest_differs=True),
    ),
    _attempts(
        "sim-realface-case",
        "The decision is spelled `realFace`, as in a published example of v1.2.",
        Outcome("realFace"),
    ),
    _attempts(
        "sim-unknown-decision",
        "The decision is `deepfake`, which no published enum holds.",
        Outcome("deepfake"),
    ),
    _attempts(
        "sim-no-attempt", "The phone never comes back: the session stays as it was created.", starts=False
    ),
    _attempts("sim-abandoned", "The phone starts the session and gives up before an attempt."),
    _attempts(
        "sim-canceled",
        "The session ends as `Canceled` (v1.1-preview.1 has no such status: `Started`).",
        cancels=True,
    ),
    _refused("create", "401", errors.UNAUTHORIZED_UNSPECIFIED, "401, as for a key that is not valid."),
    _refused("create", "quota", errors.OUT_OF_QUOTA, "403: out of call volume quota, for 2 days."),
    _refused(
        "create", "403", errors.UNSUPPORTED_FEATURE, "403 `UnsupportedFeature`: the resource is not approved."
    ),
    _refused(
        "create", "429", errors.rate_limited(26), "429 that says the wait (26 seconds) in its message only."
    ),
    _refused("create", "429-header", errors.rate_limited(7, header=True), "429 with `Retry-After: 7`."),
    _refused(
        "create",
        "429-gateway",
        errors.GATEWAY_RATE_LIMITED,
        "429 in the newer wording, with a code (1 second).",
    ),
    _refused("create", "500", errors.INTERNAL_SERVER_ERROR, "500 `Unspecified`."),
    _refused("create", "502", errors.BAD_GATEWAY, "502 with an HTML page."),
    _refused("create", "503", errors.SERVICE_UNAVAILABLE, "503 without a body."),
    _late("create", "The session is created, but the answer comes after 30 seconds."),
    Scenario(
        "sim-create-lost",
        "create",
        "The session is created, then the connection is reset without an answer.",
        fault=Fault(lost=True),
    ),
    _refused("get", "401", errors.UNAUTHORIZED_UNSPECIFIED, "401, as for a key that is not valid."),
    _refused("get", "quota", errors.OUT_OF_QUOTA, "403: out of call volume quota, for 2 days."),
    _refused(
        "get", "429", errors.rate_limited(26), "429 that says the wait (26 seconds) in its message only."
    ),
    _refused("get", "429-header", errors.rate_limited(7, header=True), "429 with `Retry-After: 7`."),
    _refused("get", "500", errors.INTERNAL_SERVER_ERROR, "500 `Unspecified`."),
    _refused("get", "502", errors.BAD_GATEWAY, "502 with an HTML page."),
    _refused("get", "503", errors.SERVICE_UNAVAILABLE, "503 without a body."),
    _refused(
        "get", "flaky", errors.SERVICE_UNAVAILABLE, "503 for the first two reads, then the result.", times=2
    ),
    _refused(
        "get", "gone", errors.SESSION_NOT_FOUND, "404 `SessionNotFound`, although the session was created."
    ),
    _refused(
        "get",
        "no-route",
        errors.RESOURCE_NOT_FOUND,
        "404 with another code, as where an API version is retired.",
    ),
    _late("get", "The answer comes after 30 seconds."),
    _refused("delete", "500", errors.INTERNAL_SERVER_ERROR, "500 `Unspecified`: the session stays."),
)

DEFAULT = SCENARIOS[0]


def of_device(device_id: str | None) -> Scenario:
    """Answer the scenario of a device id: a plain real face unless the id is in the table.

    Case does not matter, and neither does what follows a first dot: `sim-mask.7` is another device with the
    same scenario.
    """
    return _find(device_id or "") or DEFAULT


def named(outcome: str) -> Scenario | None:
    """Answer the scenario with this device id, with or without `sim-`."""
    return _find(outcome) or _find(f"sim-{outcome}")


def _find(device_id: str) -> Scenario | None:
    name = device_id.partition(".")[0].lower()
    return next((scenario for scenario in SCENARIOS if scenario.device_id == name), None)
