"""The OpenAPI document."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from create_session.body import CreateBody
from scripts.openapi import document
from shared.web.catalogue import CATALOGUE
from shared.web.routes import ROUTES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> Mapping[str, Any]:
    return document()


def operations(made: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def contents(made: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What is sent and answered as JSON."""
    for _, _, operation in operations(made):
        name = operation["operationId"]
        if "requestBody" in operation:
            yield f"{name} request", operation["requestBody"]["content"]["application/json"]
        for status, answer in operation["responses"].items():
            if "content" in answer:
                yield f"{name} {status}", answer["content"]["application/json"]


def errors(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The status and code of each error that an operation names."""
    for name, content in contents(made):
        if content["schema"]["$ref"].endswith("/Error"):
            for code in content["examples"]:
                yield name.partition(" ")[2], code


def test_each_route_is_an_operation(made: Mapping[str, Any]) -> None:
    """The document itself is no operation; `HEAD` is `GET` without a body."""
    listed = {(path, method.upper()) for path, method, _ in operations(made)}
    assert listed == {
        (f"/{route.path}", route.methods[0]) for route in ROUTES if route.path != "openapi.json"
    }


def test_each_error_is_told_where_it_can_happen(made: Mapping[str, Any]) -> None:
    """Only the error of a path that does not exist belongs to no operation."""
    told: dict[str, set[str]] = {}
    for status, code in errors(made):
        told.setdefault(code, set()).add(status)

    assert told == {row.code: {str(row.status)} for row in CATALOGUE if row.code != "NotFound"}


def test_errors_are_shown_as_the_service_answers_them(made: Mapping[str, Any]) -> None:
    """The fields at fault are named, and each header field of such an answer is listed."""
    own = {"401": "WWW-Authenticate", "403": "WWW-Authenticate", "405": "Allow"}
    own |= dict.fromkeys(("409", "429", "503"), "Retry-After")
    for _, _, operation in operations(made):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json", {})
            if not content.get("schema", {}).get("$ref", "").endswith("/Error"):
                continue
            listed = {"x-ms-request-id", "x-ms-error-code", own.get(status, "x-ms-error-code")}
            assert listed <= set(answer["headers"]), (operation["operationId"], status)
            for example in content["examples"].values():
                error = example["value"]["error"]
                assert status != "400" or error["details"][0]["target"] == error["target"]


def test_programs_can_read_what_an_app_does_about_each_error(made: Mapping[str, Any]) -> None:
    """Each code that an operation names has its group, its time, and a sentence for the person."""
    for status, code in errors(made):
        row = made["x-errors"][code]
        assert (row["status"], row["tell"][-1]) == (int(status), "."), code
        assert (row["atMostSeconds"] > 0) is (row["again"] == "now"), code
    assert made["x-failures"]["FaceWithMaskDetected"].startswith("Please take your mask off")


def test_programs_can_read_what_an_app_does_without_a_code(made: Mapping[str, Any]) -> None:
    """A gateway answers without a code, a newer release with another one, and a broken network not at all."""
    by_status, by_client = made["x-status-errors"], made["x-client-errors"]
    assert {key: row["again"] for key, row in (by_status | by_client).items()} == {
        "401": "now",
        "429": "later",
        "client": "never",
        "server": "now",
        "NoConnection": "now",
        "NoResultYet": "later",
    }
    assert not by_client.keys() & made["x-errors"].keys()
    assert "check your network" in by_client["NoConnection"]["tell"]


@pytest.mark.parametrize("client", ["javascript/liveness.js", "kotlin/Liveness.kt", "swift/Liveness.swift"])
def test_programs_can_read_what_each_result_means(made: Mapping[str, Any], client: str) -> None:
    """Each answer has its outcome and its sentence, as the clients have them."""
    rows = made["x-results"]
    told = {(row["outcome"].lower(), row["tell"]) for row in rows if row["outcome"]}
    # A field in JavaScript, the member of an enum in Kotlin, a case in Swift.
    text = (ROOT / "clients" / client).read_text("utf-8")
    sentences = re.findall(r'^ *(?:case )?(\w+)(?:: | = |\()"(.*?)"\)?,?$', text, re.MULTILINE)

    assert told <= {(name.replace("_", "").lower(), tell) for name, tell in sentences}
    assert {name for name, _ in told} == {"passed", "failed", "tryagain", "expired", "done"}
    assert [row["outcome"] for row in rows if row["tellByFailureCode"]] == ["tryAgain", "failed"]


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


def test_a_reader_learns_what_each_operation_and_each_value_is_for(made: Mapping[str, Any]) -> None:
    """Pages and generated clients show these texts."""
    described = [
        *(operation for _, _, operation in operations(made)),
        *(each for _, _, operation in operations(made) for each in operation["parameters"]),
        *(answer for _, _, operation in operations(made) for answer in operation["responses"].values()),
        *made["components"]["securitySchemes"].values(),
        *made["servers"],
    ]

    assert [each for each in described if not each.get("description", "").strip().endswith(".")] == []
    assert made["info"].keys() >= {"contact", "license"}


def test_examples_fit_their_schemas(made: Mapping[str, Any]) -> None:
    """A reader copies them: there is one of each request and of each answer."""
    for name, content in contents(made):
        schema = {**content["schema"], "components": made["components"]}
        validator = Draft202012Validator(schema, format_checker=FormatChecker())
        assert content["examples"], name
        for example in content["examples"].values():
            validator.validate(example["value"])


def test_examples_of_answers_have_all_fields(made: Mapping[str, Any]) -> None:
    """A reader sees each field that an answer may have."""
    schemas = made["components"]["schemas"]
    answers = [each for each in contents(made) if not each[0].endswith(" request")]
    for name, content in answers:
        schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        shown = {field for example in content["examples"].values() for field in example["value"]}
        assert shown == set(schema["properties"]), name
