"""The listings, the call counts, and who may ask from a web page."""

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.simulator_client import OLD, ROOTS, FaceClient, FixedClock, code_of

ROUTES = ["scenarios", "sessions", "calls"]
LOCAL_ORIGINS = ["http://127.0.0.1:7071", "http://localhost:3000", "http://localhost", "http://127.0.0.1"]
FOREIGN_ORIGINS = [
    "https://example.com",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://127x0x0x1:80",
    "https://localhost:7071",
    "http://localhost:7071/",
    "http://localhost:",
    "null",
    "",
]


async def test_sessions_are_listed_with_their_state(face: FaceClient, clock: FixedClock) -> None:
    """The listing tells how far each session is and whether it was deleted, and never its token."""
    created = [await face.create(device, authTokenTimeToLiveInSeconds=60) for device in ("a", "b")]
    await face.perform(created[0]["authToken"])
    await face.delete(created[0]["sessionId"])
    clock.advance_seconds(60)
    listed = await face.listing("sessions")
    kept = {
        "sessionId": created[1]["sessionId"],
        "apiVersion": OLD,
        "deviceCorrelationId": "b",
        "status": "NotStarted",
        "attempts": 0,
        "canceled": False,
        "tokenExpired": True,
        "deleted": False,
    }
    deleted = {
        "sessionId": created[0]["sessionId"],
        "deviceCorrelationId": "a",
        "status": "ResultAvailable",
        "attempts": 1,
        "deleted": True,
    }
    assert listed == [kept, kept | deleted]


async def test_calls_are_counted_by_operation(face: FaceClient, simulator: FaceSimulator) -> None:
    """Each call of the broker counts, refused ones too; those of phones and watchers do not."""
    created = await face.create()
    await face.perform(created["authToken"])
    for _ in range(3):
        await face.get(created["sessionId"])
    await face.call("GET", f"{ROOTS[OLD]}/{created['sessionId']}/audit")
    await face.call("GET", ROOTS[OLD], key="wrong")
    await face.delete(created["sessionId"])
    await face.call("GET", "/face/v1.0/largepersongroups")
    expected = {"create": 1, "get": 3, "delete": 1, "list": 1, "audit": 1}
    assert (await face.calls(), simulator.calls) == (expected, expected)


async def test_calls_of_a_fresh_simulator_are_zero(face: FaceClient) -> None:
    """All five operations are there from the start."""
    assert await face.calls() == dict.fromkeys(("create", "get", "delete", "list", "audit"), 0)


@pytest.mark.parametrize(
    ("method", "route"),
    [("GET", "unknown"), ("PUT", "fault"), ("GET", "perform"), ("GET", ""), ("OPTIONS", "calls")],
)
async def test_unknown_route_is_not_found(face: FaceClient, method: str, route: str) -> None:
    """Other paths and methods are not there."""
    assert code_of(await face.http.request(method, f"/simulator/{route}")) == (404, "404")


@pytest.mark.parametrize("origin", LOCAL_ORIGINS)
@pytest.mark.parametrize("route", ["perform", "start", "fault", *ROUTES])
async def test_preflight_of_a_local_page_is_answered(face: FaceClient, origin: str, route: str) -> None:
    """A page of this machine may send what the routes take."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    response = await face.http.options(f"/simulator/{route}", headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert {"authorization", "content-type"} <= set(
        response.headers["access-control-allow-headers"].split(", ")
    )
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", LOCAL_ORIGINS)
@pytest.mark.parametrize("route", ROUTES)
async def test_answer_to_a_local_page_can_be_read(face: FaceClient, origin: str, route: str) -> None:
    """The answer itself names the origin too."""
    response = await face.http.get(f"/simulator/{route}", headers={"Origin": origin})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, origin)


async def test_refusal_of_a_local_page_can_be_read(face: FaceClient) -> None:
    """A page sees why its token was refused."""
    response = await face.http.post("/simulator/perform", headers={"Origin": "http://localhost:7071"})
    assert code_of(response) == (401, "Unauthorized")
    assert response.headers["access-control-allow-origin"] == "http://localhost:7071"


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
async def test_foreign_page_is_refused(face: FaceClient, method: str, origin: str) -> None:
    """A page from elsewhere can neither read nor do anything, not even without a preflight."""
    response = await face.http.request(
        method, "/simulator/fault", headers={"Origin": origin}, content=b'{"status": 503}'
    )
    assert code_of(response) == (403, "OriginRefused")
    assert "access-control-allow-origin" not in response.headers
    assert (await face.get("none")).status_code == 404


async def test_face_api_has_no_cross_origin_headers(face: FaceClient) -> None:
    """Only the simulator's own routes are for web pages."""
    response = await face.call("GET", f"{ROOTS[OLD]}/none", headers={"Origin": "http://localhost:7071"})
    assert (response.status_code, "access-control-allow-origin" in response.headers) == (404, False)
