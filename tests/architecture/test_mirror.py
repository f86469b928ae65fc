"""The tests of `shared/face/calls.py` are in `tests/shared/face/test_calls.py`."""

from tests.architecture.source_tree import DEPLOYED, ROOT

TESTED_ELSEWHERE = {
    "get_result/trigger.py": "tests/e2e",
    "health/trigger.py": "tests/e2e/test_health.py",
    "revoke_session/trigger.py": "tests/e2e/test_revoke.py",
    "unknown_route/trigger.py": "tests/e2e/test_errors.py",
    "audit_session/use_case.py": "tests/audit_session/test_trigger.py",
    "shared/errors.py": "tests/shared/web/test_catalogue.py",
    "shared/face/model.py": "types; tests/contract/test_face_port.py has the port",
    "shared/http_port.py": "types; tests/shared/test_http.py",
    "shared/release.py": "tests/scripts/test_package.py",
}


def test_each_deployed_module_has_its_tests_in_the_same_place() -> None:
    """The exceptions say where their tests are."""
    modules = {
        path.relative_to(ROOT)
        for name in DEPLOYED
        for path in (ROOT / name).rglob("*.py")
        if path.stem[0] != "_"
    }
    without = {
        module.as_posix()
        for module in modules
        if not (ROOT / "tests" / module.parent / f"test_{module.name}").is_file()
    }
    assert without == set(TESTED_ELSEWHERE)
