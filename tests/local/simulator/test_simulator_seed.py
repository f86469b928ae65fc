"""The examples on the page of the create operation, v1.1-preview.1, over the wire."""

import json

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.simulator_client import KEY, OLD, ROOTS, FaceClient

REQUEST = """
{
  "livenessOperationMode": "Passive",
  "deviceCorrelationId": "723d6d03-ef33-40a8-9682-23a1feb7bccd"
}
"""

RESPONSE_200 = """
{
  "sessionId": "b12e033e-bda7-4b83-a211-e721c661f30e",
  "authToken": "eyJhbGciOiJFUzI1NiIsIm"
}
"""

RESPONSE_400 = """
{
    "error": {
        "code": "InvalidRequestBody",
        "message": "Incorrect request body provided. Please check the operation schema and try again."
    }
}
"""

RESPONSE_401 = """
{
    "error": {
        "code": "Unspecified",
        "message": "Access denied due to invalid subscription key. Make sure you are subscribed to an API you are trying to call and provide the right key."
    }
}
"""  # noqa: E501 - word for word.

RESPONSE_403 = """
{
    "error": {
        "statusCode": 403,
        "message": "Out of call volume quota. Quota will be replenished in 2 days."
    }
}
"""

RESPONSE_404 = """
{
    "error": {
        "code": "SessionNotFound",
        "message": "Session Id is not found. The session id is expired or does not exist."
    }
}
"""

RESPONSE_415 = """
{
    "error": {
        "code": "BadArgument",
        "message": "Invalid Media Type."
    }
}
"""

RESPONSE_429 = """
{
    "error": {
        "statusCode": 429,
        "message": "Rate limit is exceeded. Try again in 26 seconds."
    }
}
"""


class PublishedIdentifiers:
    """Hands out the id and the token of the page."""

    def session_id(self) -> str:
        return "b12e033e-bda7-4b83-a211-e721c661f30e"

    def auth_token(self) -> str:
        return "eyJhbGciOiJFUzI1NiIsIm"

    def request_id(self) -> str:
        return "4af681e9-0e25-43e9-9922-a7adebf13b2f"

    def digest(self) -> str:
        return "B0A803BB7B26F3C8F29CD36030F8E63ED3FAF955FEEF8E01C88AB8FD89CCF761"


async def test_published_request_gets_the_published_200() -> None:
    """The example request is answered with exactly the example response."""
    simulator = FaceSimulator(key=KEY, identifiers=PublishedIdentifiers())
    await simulator.start()
    face = FaceClient(simulator.url)
    response = await face.call(
        "POST", ROOTS[OLD], content=REQUEST, headers={"Content-Type": "application/json"}
    )
    await face.aclose()
    await simulator.stop()
    assert (200, json.loads(RESPONSE_200)) == (response.status_code, response.json())
    assert response.headers["apim-request-id"] == "4af681e9-0e25-43e9-9922-a7adebf13b2f"


@pytest.mark.parametrize(
    ("device_id", "status", "published"),
    [
        pytest.param("sim-create-401", 401, RESPONSE_401, id="401"),
        pytest.param("sim-create-quota", 403, RESPONSE_403, id="403"),
        pytest.param("sim-create-429", 429, RESPONSE_429, id="429"),
    ],
)
async def test_magic_device_id_gets_the_published_refusal(
    face: FaceClient, device_id: str, status: int, published: str
) -> None:
    """The refusals that a magic device id provokes are the examples of the page."""
    response = await face.post(OLD, json.loads(REQUEST) | {"deviceCorrelationId": device_id})
    assert (status, json.loads(published)) == (response.status_code, response.json())


async def test_bad_body_gets_the_published_400(face: FaceClient) -> None:
    """A body that is no JSON gets the example of the page."""
    response = await face.call(
        "POST", ROOTS[OLD], content="{body}", headers={"Content-Type": "application/json"}
    )
    assert (400, json.loads(RESPONSE_400)) == (response.status_code, response.json())


@pytest.mark.parametrize("key", [None, "wrong"], ids=["missing", "wrong"])
async def test_bad_key_gets_the_published_401(face: FaceClient, key: str | None) -> None:
    """A wrong key and none at all get the example of the page."""
    response = await face.call("POST", ROOTS[OLD], key=key, json=json.loads(REQUEST))
    assert (401, json.loads(RESPONSE_401)) == (response.status_code, response.json())


async def test_unknown_session_gets_the_published_404(face: FaceClient) -> None:
    """A session that does not exist gets the example of the page."""
    response = await face.get("b12e033e-bda7-4b83-a211-e721c661f30e")
    assert (404, json.loads(RESPONSE_404)) == (response.status_code, response.json())


async def test_other_media_type_gets_the_published_415(face: FaceClient) -> None:
    """A body that is not announced as JSON gets the example of the page."""
    response = await face.call("POST", ROOTS[OLD], content=REQUEST, headers={"Content-Type": "text/plain"})
    assert (415, json.loads(RESPONSE_415)) == (response.status_code, response.json())
