"""A custom topic of Event Grid as it answers on the wire, with the CloudEvents schema.

https://learn.microsoft.com/azure/event-grid/cloud-event-schema, https://learn.microsoft.com/azure/event-grid/post-to-custom-topic
"""

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.shared.keys.fake_azure import FakeIdentity

RESOURCE = "https://eventgrid.azure.net"

_CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"


@dataclass
class FakeTopic:
    """Takes batches from callers with a token for Event Grid; `trouble` replaces its answers.

    `posts` counts requests; `bodies` are the accepted ones, as they came.
    """

    identity: FakeIdentity
    trouble: web.Response | None = None
    hang_up: bool = False
    posts: int = 0
    bodies: list[bytes] = field(default_factory=list)

    @property
    def batches(self) -> list[Any]:
        """What was accepted, parsed."""
        return [json.loads(body) for body in self.bodies]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._post)
        return app

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.posts += 1
        body = await request.read()
        if self.hang_up:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if refusal := self.trouble or self._refusal(request, body):
            return refusal
        self.bodies.append(body)
        return web.Response()

    def _refusal(self, request: web.Request, body: bytes) -> web.Response | None:
        if (request.method, request.path_qs) != ("POST", "/api/events?api-version=2018-01-01"):
            return error(404, "NotFound")
        if not self.identity.has_issued(request, RESOURCE):
            return error(401, "Unauthorized")
        if request.headers.get("Content-Type") != _CONTENT_TYPE or not isinstance(json.loads(body), list):
            return error(400, "BadRequest")
        return None


def error(status: int, code: str, **headers: str) -> web.Response:
    """Answer an error in Event Grid's shape."""
    message = f"Something about {code}. Report '1:2:3' to our forums."
    content = {"error": {"code": code, "message": message, "details": []}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(content, status=status, headers=named)
