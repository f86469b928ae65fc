"""Path resolution and route matching, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host.indexing import IndexedFunction
from local.host.messages import Refusal
from local.host.routing import Router, compile_route, resolve_path
from tests.local.host.client import echo


@pytest.mark.parametrize(
    ("raw", "resolved"),
    [
        ("/api/sessions/../health", "/api/health"),
        ("/api/sessions/%2e%2E/health", "/api/health"),
        ("/api/./health/%2e", "/api/health/"),
        ("/../../api", "/api"),
        ("/api/..", "/"),
        ("/api/a%2Fb%2fc", "/api/a%2Fb%2fc"),
        ("/api/%2e%2e%2fhealth", "/api/..%2fhealth"),
        ("/api/%ff%41%fe", "/api/%ffA%fe"),
        ("/api/%ed%a0%80", "/api/%ed%a0%80"),
        ("/api/%252e%252e", "/api/%2e%2e"),
        ("/api/%zz%", "/api/%zz%"),
        ("/api//health", "/api//health"),
        ("*", "*"),
    ],
)
def test_path_is_resolved_as_the_host_does(raw: str, resolved: str) -> None:
    """A path is decoded once, except slashes and what is not UTF-8, and then loses its dot segments."""
    assert resolved == resolve_path(raw)


@pytest.mark.parametrize("raw", ["/api/a%20%00", "/api/é"], ids=ascii)
def test_path_that_the_host_refuses_is_400(raw: str) -> None:
    """A null character and a raw byte that is not ASCII are refused."""
    with pytest.raises(Refusal, match="400"):
        resolve_path(raw)


@given(st.lists(st.sampled_from(["a", "..", ".", "%2e", "%2E%2e", "%2F", "%ff", "%20", "", "%"]), min_size=1))
def test_any_path_resolved_holds_no_dot_segment(segments: list[str]) -> None:
    """Whatever is sent, a resolved path starts with a slash and holds no dot segment."""
    resolved = resolve_path("/" + "/".join(segments))

    assert resolved.startswith("/")
    assert not {".", ".."} & set(resolved.split("/"))


@given(st.text())
def test_any_text_encoded_comes_back_decoded_except_slashes(text: str) -> None:
    """Percent-encoding every byte of a text and resolving it gives the text, with slashes still encoded."""
    encoded = text.replace("\0", "").encode("utf-8", "replace")
    raw = "".join(f"%{byte:02X}" for byte in encoded)

    assert resolve_path(f"/x{raw}") == f"/x{encoded.decode().replace('/', '%2F')}"


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("api/health", "/API/Health", {}),
        ("api/health", "/api/health/", {}),
        ("api/health", "/api//health", None),
        ("api/health", "/api/health/x", None),
        ("api/health", "/api", None),
        ("api/health", "api/health", None),
        ("api/s/{id}", "/api/s/AbC", {"id": "AbC"}),
        ("api/s/{id}", "/api/s/", None),
        ("api/s/{id}/audit", "/api/s/1/audit", {"id": "1"}),
        ("api/{*path}", "/api/a/B//c/", {"path": "a/B//c/"}),
        ("api/{*path}", "/api", {}),
        ("api/{*path}", "/other", None),
        ("{*path}", "/", {}),
        ("", "/", {}),
    ],
)
def test_route_matches_path_as_the_host_does(template: str, path: str, params: dict[str, str] | None) -> None:
    """Literals ignore case, a trailing slash is accepted, a double slash is not; a parameter is not empty."""
    match = Router([_function("a", template)], "").find("GET", path)

    assert (match and match[1]) == params


@pytest.mark.parametrize("template", ["s/{id:int}", "s/{id?}", "s/{id=5}", "s/a-{id}", "{*path}/x"])
def test_route_with_an_unknown_feature_is_refused(template: str) -> None:
    """A template that this host would match differently from the real one fails when it is read."""
    with pytest.raises(ValueError, match="does not support"):
        compile_route(template)


def test_first_function_by_name_and_method_wins_over_a_closer_match() -> None:
    """There is no precedence of literal over parameter over catch-all: only the function names count."""
    functions = [
        _function("c_literal", "sessions/new"),
        _function("b_parameter", "sessions/{id}", "GET", "PUT"),
        _function("A_catch_all", "{*path}", "GET"),
    ]
    matches = [
        Router(functions, "api").find(method, "/api/sessions/new") for method in ("GET", "PUT", "POST")
    ]

    assert [match and match[0].name for match in matches] == ["A_catch_all", "b_parameter", "c_literal"]


def _function(name: str, route: str, *methods: str) -> IndexedFunction:
    return IndexedFunction(name, echo, {"name": "req", "route": route, "methods": methods})
