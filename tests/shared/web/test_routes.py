"""Which methods a path has."""

import pytest

from shared.web.routes import allowed_methods

ID = "b12e033e-bda7-4b83-a211-e721c661f30e"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("sessions", ("POST",)),
        ("Sessions/", ("POST",)),
        (f"sessions/{ID}", ("DELETE", "GET", "HEAD")),
        (f"sessions/{ID}/audit", ("GET", "HEAD")),
        ("openapi.json", ("GET", "HEAD")),
        *(
            (path, ())
            for path in ("", "/health", "sessions/a/b", "sessions//audit", "openapi-json", "healthy")
        ),
    ],
)
def test_path_has_the_methods_of_all_its_functions(path: str, methods: tuple[str, ...]) -> None:
    """As the Functions host matches paths: case and a slash at the end do not matter."""
    assert allowed_methods(path) == methods
