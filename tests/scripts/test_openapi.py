"""The OpenAPI document."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from create_session.body import CreateBody
from scripts.openapi import document
from shared.web.catalogue import CATALOGUE
from shared.web.routes import ROUTES

ROOT = Path(__file__).parents[2]
MADE: Mapping[str, Any] = document()
SCHEMAS = MADE["components"]["schemas"]
OPERATIONS = [
    (path, method, operation)
    for path, methods in MADE["paths"].items()
    for method, operation in methods.items()
]
ANSWERS = [
    (operation["operationId"], status, answer)
    for _, _, operation in OPERATIONS
    for status, answer in operation["responses"].items()
]


JSON = [
    (f"{name} {status}", answer["content"]["application/json"])
    for name, status, answer in ANSWERS
    if "content" in answer
]
"""What is answered as JSON."""
ERRORS = [
    (status, answer)
    for _, status, answer in ANSWERS
    if answer.get("content", {}).get("application/json", {}).get("schema")
    == {"$ref": "#/components/schemas/Error"}
]


def examples(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The examples of an answer, of errors by their codes."""
    found: Mapping[str, Any] = answer["content"]["application/json"]["examples"]
    return found


def test_each_route_is_an_operation() -> None:
    """The document itself is no operation; `HEAD` is `GET` without a body."""
    listed = {(path, method.upper()) for path, method, _ in OPERATIONS}
    assert listed == {
        (f"/{route.path}", route.methods[0]) for route in ROUTES if route.path != "openapi.json"
    }


def test_each_error_is_told_where_it_can_happen() -> None:
    """Only the error of a path that does not exist belongs to no operation."""
    told = {(status, code) for status, answer in ERRORS for code in examples(answer)}

    assert told == {(str(row.status), row.code) for row in CATALOGUE if row.code != "NotFound"}


def test_errors_are_shown_as_the_service_answers_them() -> None:
    """The fields at fault are named, and each header field of such an answer is listed."""
    own = {"401": "WWW-Authenticate", "403": "WWW-Authenticate", "405": "Allow"}
    own |= dict.fromkeys(("409", "429", "503"), "Retry-After")
    for status, answer in ERRORS:
        listed = {"x-ms-request-id", "x-ms-error-code", own.get(status, "x-ms-error-code")}
        assert listed <= set(answer["headers"]), status
        for example in examples(answer).values():
            error = example["value"]["error"]
            assert status != "400" or error["details"][0]["target"] == error["target"]


def test_programs_can_read_what_an_app_does_without_a_code() -> None:
    """A gateway answers without a code, a newer release with another one, and a broken network not at all."""
    by_status, by_client = MADE["x-status-errors"], MADE["x-client-errors"]
    assert {key: row["again"] for key, row in (by_status | by_client).items()} == {
        "401": "now",
        "429": "later",
        "client": "never",
        "server": "now",
        "NoConnection": "now",
        "NoResultYet": "later",
    }
    assert not by_client.keys() & MADE["x-errors"].keys()
    assert "check your network" in by_client["NoConnection"]["tell"]


@pytest.mark.parametrize("client", ["javascript/liveness.js", "kotlin/Liveness.kt", "swift/Liveness.swift"])
def test_programs_can_read_what_each_result_means(client: str) -> None:
    """Each answer has its outcome and its sentence, as the clients have them."""
    rows = MADE["x-results"]
    told = {(row["outcome"].lower(), row["tell"]) for row in rows if row["outcome"]}
    # A field in JavaScript, the member of an enum in Kotlin, a case in Swift.
    text = (ROOT / "clients" / client).read_text("utf-8")
    sentences = re.findall(r'^ *(?:case )?(\w+)(?:: | = |\()"(.*?)"\)?,?$', text, re.MULTILINE)

    assert told <= {(name.replace("_", "").lower(), tell) for name, tell in sentences}
    assert {name for name, _ in told} == {"passed", "failed", "tryagain", "expired", "done"}
    assert [row["outcome"] for row in rows if row["tellByFailureCode"]] == ["tryAgain", "failed"]


def test_the_body_has_the_fields_of_the_code() -> None:
    """Only the required field is never null. Each is described."""
    coded = CreateBody.model_json_schema(by_alias=True)["properties"]
    described = SCHEMAS["CreateBody"]["properties"]

    assert set(described) == set(coded)
    assert SCHEMAS["CreateBody"]["additionalProperties"] is False
    for name, field in described.items():
        is_required = name == "livenessOperationMode"
        assert field["description"], name
        assert field["type"] == (
            "string" if is_required else [one["type"] for one in coded[name]["anyOf"]]
        ), name


def test_operations_are_listed_by_who_calls_them() -> None:
    """An app's developer sees three calls, and does not have to ask about the others."""
    listed: dict[str, list[str]] = {tag["name"]: [] for tag in MADE["tags"]}
    for _, _, operation in OPERATIONS:
        [tag] = operation["tags"]
        listed[tag].append(operation["operationId"])

    assert listed == {
        "For apps": ["createSession", "getResult", "revokeSession"],
        "For servers and operators": ["auditSession", "health", "ready"],
    }


def test_a_reader_learns_what_each_operation_and_each_value_is_for() -> None:
    """Pages and generated clients show these texts."""
    described = [
        *(operation for _, _, operation in OPERATIONS),
        *(each for _, _, operation in OPERATIONS for each in operation["parameters"]),
        *(answer for _, _, answer in ANSWERS),
        *MADE["components"]["securitySchemes"].values(),
        *MADE["servers"],
    ]

    assert [each for each in described if not each.get("description", "").strip().endswith(".")] == []
    assert MADE["info"].keys() >= {"contact", "license"}


def test_examples_fit_their_schemas() -> None:
    """A reader copies them: there is one of each request and of each answer."""
    bodies = [
        (operation["operationId"], operation["requestBody"]["content"]["application/json"])
        for _, _, operation in OPERATIONS
        if "requestBody" in operation
    ]
    for name, content in [*bodies, *JSON]:
        schema = {**content["schema"], "components": MADE["components"]}
        validator = Draft202012Validator(schema, format_checker=FormatChecker())
        assert content["examples"], name
        for example in content["examples"].values():
            validator.validate(example["value"])


def test_examples_of_answers_have_all_fields() -> None:
    """A reader sees each field that an answer may have."""
    for name, content in JSON:
        schema = SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]
        shown = {field for example in content["examples"].values() for field in example["value"]}
        assert shown == set(schema["properties"]), name
