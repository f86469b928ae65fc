"""Readiness over dependencies that fail."""

from health.use_case import Dependency, check_dependencies
from shared.errors import StorageUnavailable, UpstreamUnauthorized
from tests.support.app import app_of
from tests.support.fake_face import FakeFace
from tests.support.store import FakeStore


async def test_each_dependency_that_fails_is_named() -> None:
    """With its code, and its detail where there is one; the others are available."""
    store, face = FakeStore(), FakeFace()
    store.fail("check", StorageUnavailable("no answer in time"))
    face.fail("check", UpstreamUnauthorized())

    assert await check_dependencies(app_of(store=store, face=face), "a-request") == [
        Dependency("face", "UpstreamUnauthorized"),
        Dependency("storage", "StorageUnavailable: no answer in time"),
        Dependency("queue", None),
        Dependency("secrets", None),
    ]
