"""Calls of web pages of another origin, as a browser makes them."""

import pytest

from tests.support.broker import Broker, running_broker

PAGE = "https://app.example.com"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}


def access_control(headers: object) -> dict[str, str]:
    fields = dict(headers).items()  # type: ignore[call-overload]
    return {name: value for name, value in fields if name.startswith("access-control-")}


async def test_page_of_an_allowed_origin_may_call_and_read_what_it_needs() -> None:
    """The answer to a refusal too: a page has to see how long to wait."""
    async with running_broker(ALLOWED_ORIGINS=f"{PAGE}, http://localhost:3000") as broker:
        asked = await broker.http.request("OPTIONS", "/api/sessions", headers=PREFLIGHT)
        refused = await broker.http.post("/api/sessions", content=b"{}", headers={"Origin": PAGE})
        no_preflight = await broker.http.request("OPTIONS", "/api/sessions", headers={"Origin": PAGE})

    assert (asked.status_code, asked.content) == (204, b"")
    assert (no_preflight.status_code, no_preflight.headers["Allow"]) == (405, "POST")
    assert access_control(asked.headers)["access-control-allow-methods"] == "POST"
    sent = access_control(asked.headers)["access-control-allow-headers"].split(", ")
    assert {"Authorization", "Content-Type", "Idempotency-Key", "X-Session-Token", "X-Client-Digest"} <= set(
        sent
    )
    for answer in (asked, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Vary"] == "Origin"
    # What docs/api.md and docs/errors.md tell an app to look at.
    assert {"Date", "Retry-After", "WWW-Authenticate", "x-ms-request-id"} <= set(
        refused.headers["Access-Control-Expose-Headers"].split(", ")
    )


@pytest.mark.parametrize(
    ("origins", "origin"), [("", PAGE), (PAGE, "https://evil.example.com"), (PAGE, "null"), (PAGE, None)]
)
async def test_other_origins_and_paths_get_no_permission(origins: str, origin: str | None) -> None:
    async with running_broker(ALLOWED_ORIGINS=origins) as broker:
        headers = PREFLIGHT | {"Origin": origin} if origin else {"Access-Control-Request-Method": "POST"}
        asked = await broker.http.request("OPTIONS", "/api/sessions", headers=headers)
        elsewhere = await broker.http.request("OPTIONS", "/api/x", headers=PREFLIGHT)

    assert (asked.status_code, access_control(asked.headers)) == (405, {})
    assert elsewhere.status_code == 404


async def test_head_answers_like_get_without_a_body(broker: Broker) -> None:
    session = await broker.created()
    token = {"X-Session-Token": session["authToken"]}
    for path in ("/api/health", f"/api/sessions/{session['sessionId']}"):
        answer = await broker.http.head(path, headers=token)
        assert (answer.status_code, answer.content) == (200, b"")
