"""The Swift client, as far as it can be tested without a compiler: its syntax, and that it says what the others say."""

import re
from pathlib import Path

import tree_sitter_swift
from tree_sitter import Language, Parser

CLIENTS = Path(__file__).parents[2] / "clients"
SWIFT = (CLIENTS / "swift/Liveness.swift").read_text("utf-8")
KOTLIN = (CLIENTS / "kotlin/Liveness.kt").read_text("utf-8")


def has_error(text: str) -> bool:
    """Whether the text is not Swift."""
    return Parser(Language(tree_sitter_swift.language())).parse(text.encode()).root_node.has_error


def test_the_client_is_swift() -> None:
    """The parser takes all of it, and refuses it with a brace less."""
    assert not has_error(SWIFT)
    assert has_error(SWIFT.replace("{", "", 1))


def test_the_example_of_the_pages_is_swift() -> None:
    """What an app copies from README.md."""
    [example] = re.findall(
        r"^```swift\n(.*?)^```", (CLIENTS / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )

    assert not has_error(example)


def test_it_says_that_it_was_not_compiled() -> None:
    """A reader knows before use."""
    assert "It was not compiled" in SWIFT[: SWIFT.index("import ")]


def test_it_has_the_paths_headers_and_sentences_of_the_kotlin_client() -> None:
    """The Kotlin client's tests pass for these."""
    words = re.findall(
        r'"(?:(?:X|Idempotency|Retry|Content)-[\w-]+|/api/[\w/]+|liveness\.[\w.]+|[A-Z][^"]*\.)', KOTLIN
    )

    assert len(words) > 50
    assert [word for word in words if word not in SWIFT] == []
