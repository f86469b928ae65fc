"""How an answer's JSON is read: strictly, and by allow-list. Loaded with the API version that is spoken."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from shared.face.wire import UpstreamResponse, broken
from shared.text import parse_json


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
    return read_part(model, _content(response), response)


def read_all(model: type[_P], response: UpstreamResponse) -> list[_P]:
    """Read a successful answer that is an array, as `read` does."""
    content = _content(response)
    if not isinstance(content, list):
        raise broken(response, "not an array")
    return [read_part(model, part, response) for part in content]


def read_part(model: type[_P], content: object, response: UpstreamResponse) -> _P:
    """Read a part of an answer that is parsed already; raises `UpstreamFailure`."""
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise broken(response, f"{first['type']} at {place or 'the top'}") from problem


def _content(response: UpstreamResponse) -> object:
    if response.status not in (200, 201):
        raise broken(response, f"unexpected status {response.status}")
    if response.unread:
        raise broken(response, "too large, or compressed although that was ruled out")
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise broken(response, "not announced as JSON")
    try:
        content: object = parse_json(response.body)
    except ValueError as problem:
        raise broken(response, f"not strict JSON: {type(problem).__name__}") from problem
    return content
