"""What a create's body may hold, and how each fault is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from create_session.body import CreateBody, read_body
from shared.errors import RequestRefused
from shared.face.model import LivenessMode, SessionSpec
from shared.settings import Settings
from tests.support.broker import environment
from tests.support.fake_face import FakeFace

TTL, SHOWN, REFERENCE = "authTokenTimeToLiveInSeconds", "sendResultsToClient", "clientReference"
PERSON = "onBehalfOf"
MODE_FIELD, DEVICE_FIELD = "livenessOperationMode", "deviceCorrelationId"
GOOD = {MODE_FIELD: "Passive", DEVICE_FIELD: "a-device"}
CANARY = "canary-of-a-caller"
BODY, MODE, DEVICE = "InvalidRequestBody", "InvalidLivenessOperationMode", "InvalidDeviceCorrelationId"
LIFETIME, OWN_NAME = "InvalidTokenLifetime", "X-Device-Correlation-Id"


def read(
    fields: dict[str, Any], header: str | None = None, *, has_results: bool = True, **settings: str
) -> tuple[CreateBody, list[RequestRefused]]:
    mapping = environment("http://127.0.0.1:9", **settings)
    face = FakeFace(can_send_results_to_client=has_results)
    return read_body(fields, header, face, Settings.from_mapping(mapping))


def told(faults: list[RequestRefused]) -> list[tuple[str, str | None]]:
    return [(fault.code, fault.target) for fault in faults]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"enrollmentId": 1}, [(BODY, "enrollmentId")]),
        ({"device_correlation_id": "x"}, [(BODY, "device_correlation_id")]),
        ({"x" * 65: 1}, [(BODY, None)]),
        ({"a b": 1}, [(BODY, None)]),
        ({TTL: "600"}, [(BODY, TTL)]),
        ({TTL: True}, [(BODY, TTL)]),
        ({TTL: 600.0}, [(BODY, TTL)]),
        ({TTL: 59}, [(LIFETIME, TTL)]),
        ({TTL: 86_401}, [(LIFETIME, TTL)]),
        ({TTL: -(10**400)}, [(LIFETIME, TTL)]),
        ({SHOWN: 1}, [(BODY, SHOWN)]),
        ({MODE_FIELD: 1}, [(BODY, MODE_FIELD)]),
        ({MODE_FIELD: None}, [(MODE, MODE_FIELD)]),
        ({MODE_FIELD: "passive"}, [(MODE, MODE_FIELD)]),
        ({MODE_FIELD: "PassiveActive"}, [(MODE, MODE_FIELD)]),
        ({DEVICE_FIELD: 7}, [(BODY, DEVICE_FIELD)]),
        ({DEVICE_FIELD: None}, [(DEVICE, DEVICE_FIELD)]),
        ({DEVICE_FIELD: ""}, [(DEVICE, DEVICE_FIELD)]),
        ({DEVICE_FIELD: "x" * 65}, [(DEVICE, DEVICE_FIELD)]),
        ({DEVICE_FIELD: " "}, [(DEVICE, DEVICE_FIELD)]),
        ({DEVICE_FIELD: "x "}, [(DEVICE, DEVICE_FIELD)]),
        ({DEVICE_FIELD: "x\n"}, [(DEVICE, DEVICE_FIELD)]),
        ({DEVICE_FIELD: "\u00e9"}, [(DEVICE, DEVICE_FIELD)]),
        ({"deviceCorrelationIdSetInClient": True}, [(BODY, DEVICE_FIELD), (DEVICE, OWN_NAME)]),
        ({REFERENCE: "a b"}, [(BODY, REFERENCE)]),
        ({REFERENCE: "x\n"}, [(BODY, REFERENCE)]),
        ({REFERENCE: "x" * 129}, [(BODY, REFERENCE)]),
        ({REFERENCE: ""}, [(BODY, REFERENCE)]),
        ({PERSON: ""}, [(BODY, PERSON)]),
        ({PERSON: "  "}, [(BODY, PERSON)]),
        ({PERSON: "a\nb"}, [(BODY, PERSON)]),
        ({PERSON: "x" * 129}, [(BODY, PERSON)]),
        ({PERSON: 7}, [(BODY, PERSON)]),
        (
            {MODE_FIELD: "x", DEVICE_FIELD: "", TTL: 1, REFERENCE: 7, "y": 0},
            [(BODY, REFERENCE), (BODY, "y"), (MODE, MODE_FIELD), (LIFETIME, TTL), (DEVICE, DEVICE_FIELD)],
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_fault_is_named_by_code_and_field(
    fields: dict[str, Any], expected: list[tuple[str, str | None]]
) -> None:
    """Faults of types come before those of values, and no field has two."""
    assert told(read(GOOD | fields)[1]) == expected


@pytest.mark.parametrize(
    ("header", "at_fault"), [("x" * 64, False), ("", True), ("x" * 65, True), (None, True)]
)
def test_device_that_names_itself_needs_its_header(header: str | None, at_fault: bool) -> None:
    """With deviceCorrelationIdSetInClient the header is required, under the rule of the field."""
    body, faults = read({MODE_FIELD: "Passive", "deviceCorrelationIdSetInClient": True}, header)

    assert told(faults) == ([(DEVICE, OWN_NAME)] if at_fault else [])
    assert body.device_id(header) == header
    assert body.spec(600).device_id is None


@pytest.mark.parametrize(
    "fields", [{}, {REFERENCE: None, TTL: None, SHOWN: None}, {"deviceCorrelationIdSetInClient": None}]
)
def test_null_counts_as_absent(fields: dict[str, Any]) -> None:
    """An optional field that is null has its default."""
    body, faults = read(GOOD | fields)

    assert faults == []
    assert body.spec(86_400) == SessionSpec(LivenessMode.PASSIVE, "a-device", 600)
    assert (body.client_reference, body.device_id("another")) == (None, "a-device")
    assert "a-device" not in repr(body)


@pytest.mark.parametrize(
    ("asked", "ceiling", "given", "at_fault"),
    [
        (None, 86_400, 600, False),
        (None, 600, 600, False),
        (None, 300, 300, False),
        (None, 60, 60, False),
        (60, 300, 60, False),
        (300, 300, 300, False),
        (301, 300, 301, True),
    ],
)
def test_lifetime_is_held_to_the_ceiling(asked: int | None, ceiling: int, given: int, at_fault: bool) -> None:
    """It is taken as it is or refused; the default of ten minutes is less where the operator allows less."""
    body, faults = read(GOOD | {TTL: asked}, AUTH_TOKEN_TTL_MAX_SECONDS=str(ceiling))

    assert bool(faults) == at_fault
    assert body.spec(ceiling).token_lifetime == given


@pytest.mark.parametrize(
    ("has_results", "allowed", "visibility", "wanted", "at_fault"),
    [
        (True, "true", "decision", True, False),
        (True, "", "decision", True, True),
        (True, "true", "status", True, True),
        (False, "true", "decision", True, True),
        (False, "", "status", False, False),
    ],
)
def test_results_for_the_phone_need_version_and_operator(
    has_results: bool, allowed: str, visibility: str, wanted: bool, at_fault: bool
) -> None:
    """`sendResultsToClient` is refused unless version and operator allow it, and where decisions are hidden."""
    operator = {"ALLOW_RESULTS_TO_CLIENT": allowed, "RESULT_VISIBILITY": visibility}
    body, faults = read(GOOD | {SHOWN: wanted}, has_results=has_results, **operator)

    assert told(faults) == ([(BODY, SHOWN)] if at_fault else [])
    assert body.spec(600).send_results_to_client == wanted


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just(CANARY), inner),
    max_leaves=4,
)
FIELDS = [str(field.alias) for field in CreateBody.model_fields.values()]


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=70), json_values))
def test_any_object_is_read_and_no_value_is_repeated(fields: dict[str, Any]) -> None:
    """No object raises anything else, and no fault or repr holds what a caller sent as a value."""
    body, faults = read(fields, CANARY)

    assert CANARY not in repr([(str(fault), fault.detail, fault.target) for fault in faults])
    assert faults or body.spec(600)
    json.dumps([fault.target for fault in faults])
