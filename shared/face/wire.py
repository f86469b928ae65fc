"""What goes to Face and what comes back, as plain values; and how an answer's JSON is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from shared import strict_json
from shared.errors import UpstreamFailure

_IDENTIFIER = re.compile(r"[0-9A-Za-z._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request: `path` is sent as it is; `json` can hold a device id, and is in no repr."""

    method: str
    path: str
    json: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """One answer: the names in `headers` are in lower case; `body` may hold a token, and is in no repr.

    `body` is empty where it was not worth reading: too large, or compressed although that was ruled out.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def request_id(self) -> str | None:
        """Face's own id of this call, which a support case asks for."""
        return identifier(self.headers.get("apim-request-id"))


class Part(BaseModel):
    """A part of an answer: the fields named are read strictly, all others are not looked at."""

    # Without the input, because an error's text ends in the log and the input can be a token. Built when it is first
    # used: an app speaks one version, and its start does not wait for the others.
    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        defer_build=True,
    )


_P = TypeVar("_P", bound=Part)


def read(model: type[_P], response: UpstreamResponse) -> _P:
    """Read a successful answer; raises `UpstreamFailure` for whatever is not in the contract."""
    if response.status not in (200, 201):
        raise broken(response, f"unexpected status {response.status}")
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise broken(response, "not announced as JSON")
    try:
        content = strict_json.parse(response.body)
    except ValueError as problem:
        raise broken(response, f"not strict JSON: {type(problem).__name__}") from problem
    return read_part(model, content, response)


def read_part(model: type[_P], content: object, response: UpstreamResponse) -> _P:
    """Read a part of an answer that is parsed already; raises `UpstreamFailure`."""
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise broken(response, f"{first['type']} at {place or 'the top'}") from problem


def broken(response: UpstreamResponse, what: str) -> UpstreamFailure:
    """Describe an answer that breaks the contract."""
    return UpstreamFailure(f"not Face's contract: {what}", upstream_request_id=response.request_id)


def identifier(text: str | None) -> str | None:
    """Answer `text` where it can only be an identifier, so that it may stand in logs and events."""
    return text if text and _IDENTIFIER.fullmatch(text) else None


def printable(text: str, length: int = 256) -> str:
    """Answer at most `length` characters of `text` on one line, without control and direction characters."""
    return "".join(character if character.isprintable() else " " for character in text[:length])
