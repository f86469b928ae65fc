"""Path resolution and route matching, without a socket."""

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host.indexing import HttpFunction
from local.host.messages import Refusal
from local.host.routing import Router, compile_route, resolve_path
from tests.local.host.client import echo


@pytest.mark.parametrize(
    ("raw", "resolved"),
    [
        pytest.param("/api/health", "/api/health", id="plain"),
        pytest.param("/api/sessions/../health", "/api/health", id="dot-dot"),
        pytest.param("/api/sessions/%2e%2E/health", "/api/health", id="encoded-dot-dot"),
        pytest.param("/api/./health/%2e", "/api/health/", id="single-dots"),
        pytest.param("/../../api", "/api", id="above-the-root"),
        pytest.param("/api/..", "/", id="ends-in-dot-dot"),
        pytest.param("/api/a%20b", "/api/a b", id="space"),
        pytest.param("/api/%C3%A9", "/api/é", id="utf-8"),
        pytest.param("/api/a%2Fb%2fc", "/api/a%2Fb%2fc", id="slash-stays"),
        pytest.param(
            "/api/%2e%2e%2fhealth", "/api/..%2fhealth", id="dot-dot-encoded-slash-is-no-dot-segment"
        ),
        pytest.param("/api/%ff%41%fe", "/api/%ffA%fe", id="not-utf-8-stays"),
        pytest.param("/api/%ed%a0%80", "/api/%ed%a0%80", id="surrogate-stays"),
        pytest.param("/api/%252e%252e", "/api/%2e%2e", id="decoded-once"),
        pytest.param("/api/%zz%", "/api/%zz%", id="no-escape"),
        pytest.param("/api//health", "/api//health", id="double-slash"),
        pytest.param("*", "*", id="asterisk"),
    ],
)
def test_path_is_resolved_as_the_host_does(raw: str, resolved: str) -> None:
    """A path is decoded once, except slashes and what is not UTF-8, and then loses its dot segments."""
    assert resolved == resolve_path(raw)


@pytest.mark.parametrize("raw", ["/api/%00", "/api/a%20%00", "/api/é"], ids=ascii)
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
    raw = "".join(f"%{byte:02X}" for byte in text.replace("\0", "").encode("utf-8", "replace"))
    expected = text.replace("\0", "").encode("utf-8", "replace").decode().replace("/", "%2F")

    assert f"/x{expected}" == resolve_path(f"/x{raw}")


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        pytest.param("api/health", "/api/health", {}, id="literal"),
        pytest.param("api/health", "/API/Health", {}, id="case"),
        pytest.param("api/health", "/api/health/", {}, id="trailing-slash"),
        pytest.param("api/health", "/api//health", None, id="double-slash"),
        pytest.param("api/health", "/api/health/x", None, id="longer"),
        pytest.param("api/health", "/api", None, id="shorter"),
        pytest.param("api/health", "api/health", None, id="no-slash"),
        pytest.param("api/s/{id}", "/api/s/AbC", {"id": "AbC"}, id="parameter-keeps-case"),
        pytest.param("api/s/{id}", "/api/s/", None, id="parameter-not-empty"),
        pytest.param("api/s/{id}/audit", "/api/s/1/audit", {"id": "1"}, id="parameter-inside"),
        pytest.param("api/{*path}", "/api/a/B//c/", {"path": "a/B//c/"}, id="catch-all"),
        pytest.param("api/{*path}", "/api", {}, id="catch-all-of-nothing"),
        pytest.param("api/{*path}", "/other", None, id="catch-all-elsewhere"),
        pytest.param("{*path}", "/", {}, id="catch-all-root"),
        pytest.param("", "/", {}, id="empty"),
    ],
)
def test_route_matches_path_as_the_host_does(template: str, path: str, params: dict[str, str] | None) -> None:
    """Literals ignore case, a trailing slash is accepted, a double slash is not."""
    match = Router([_function("a", template)], "").find("GET", path)

    assert (match and match[1]) == params


@pytest.mark.parametrize(
    "template", ["s/{id:int}", "s/{id?}", "s/{id=5}", "s/a-{id}", "{*path}/x"], ids=lambda template: template
)
def test_route_with_an_unknown_feature_is_refused(template: str) -> None:
    """A template that this host would match differently from the real one fails when it is read."""
    with pytest.raises(ValueError, match="does not support"):
        compile_route(template)


def test_first_function_by_name_wins_over_a_closer_match() -> None:
    """There is no precedence of literal over parameter over catch-all: only the function names count."""
    routes = {"c_literal": "sessions/new", "b_parameter": "sessions/{id}", "a_catch_all": "{*path}"}
    router = Router([_function(name, route) for name, route in routes.items()], "api")

    match = router.find("GET", "/api/sessions/new")

    assert match is not None
    assert match[0].name == "a_catch_all"


def test_function_of_another_method_is_passed_over() -> None:
    """A wrong method is no match, and the next function is tried."""
    router = Router([_function("a", "x", "POST"), _function("b", "x", "GET")], "api")

    matches = [router.find(method, "/api/x") for method in ("GET", "POST", "PUT")]

    assert [match and match[0].name for match in matches] == ["b", "a", None]


def _function(name: str, route: str, *methods: str) -> HttpFunction:
    return HttpFunction(
        name=name,
        user_function=echo,
        parameter="req",
        route=route,
        methods=frozenset(methods) or None,
        auth_level=func.AuthLevel.ANONYMOUS,
    )
