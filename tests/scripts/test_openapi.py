"""The OpenAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from create_session.body import CreateBody
from scripts.openapi import document
from shared.web.catalogue import CATALOGUE
from shared.web.routes import ROUTES


@pytest.fixture(scope="module")
def made() -> Mapping[str, Any]:
    return document()


def operations(made: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_each_route_is_an_operation(made: Mapping[str, Any]) -> None:
    """The document itself is no operation; `HEAD` is `GET` without a body."""
    listed = {(path, method.upper()) for path, method, _ in operations(made)}
    assert listed == {
        (f"/{route.path}", route.methods[0]) for route in ROUTES if route.path != "openapi.json"
    }


def test_each_error_is_told_where_it_can_happen(made: Mapping[str, Any]) -> None:
    """Only the error of a path that does not exist belongs to no operation."""
    told: dict[str, set[str]] = {}
    for _, _, operation in operations(made):
        for status, response in operation["responses"].items():
            for code in response.get("content", {}).get("application/json", {}).get("examples", {}):
                told.setdefault(code, set()).add(status)

    assert told == {row.code: {str(row.status)} for row in CATALOGUE if row.code != "NotFound"}


def test_programs_can_read_what_an_app_does_about_each_error(made: Mapping[str, Any]) -> None:
    """Each code that an operation names has its group, its time, and a sentence for the person."""
    for _, _, operation in operations(made):
        for status, response in operation["responses"].items():
            for code in response.get("content", {}).get("application/json", {}).get("examples", {}):
                row = made["x-errors"][code]
                assert (row["status"], row["tell"][-1]) == (int(status), "."), code
                assert (row["atMostSeconds"] > 0) is (row["again"] == "now"), code
    assert made["x-failures"]["FaceWithMaskDetected"].startswith("Please take your mask off")


def test_each_field_of_the_body_is_described(made: Mapping[str, Any]) -> None:
    body = made["components"]["schemas"]["CreateBody"]
    assert set(body["properties"]) == {field.alias for field in CreateBody.model_fields.values()}
    assert all(field["description"] for field in body["properties"].values())
    assert body["additionalProperties"] is False


def test_operations_are_listed_by_who_calls_them(made: Mapping[str, Any]) -> None:
    """An app's developer sees three calls, and does not have to ask about the others."""
    listed: dict[str, list[str]] = {tag["name"]: [] for tag in made["tags"]}
    for _, _, operation in operations(made):
        [tag] = operation["tags"]
        listed[tag].append(operation["operationId"])

    assert listed == {
        "For apps": ["createSession", "getResult", "revokeSession"],
        "For servers and operators": ["auditSession", "health", "ready"],
    }


def test_fields_of_the_body_have_the_types_of_the_code(made: Mapping[str, Any]) -> None:
    """Only the required field is never null."""
    coded = CreateBody.model_json_schema(by_alias=True)["properties"]
    described = made["components"]["schemas"]["CreateBody"]["properties"]

    assert described["livenessOperationMode"]["type"] == "string"
    for name, field in described.items():
        if name != "livenessOperationMode":
            assert field["type"] == [one["type"] for one in coded[name]["anyOf"]], name


def test_examples_fit_their_schemas(made: Mapping[str, Any]) -> None:
    """A reader copies them."""
    for schema in made["components"]["schemas"].values():
        for example in schema.get("examples", []):
            Draft202012Validator(schema, format_checker=FormatChecker()).validate(example)
