"""Classes of values."""

from dataclasses import field, fields, replace

import pytest

from shared.values import immutable


@immutable
class Pair:
    """A name and a number; the number does not count."""

    name: str
    number: int = field(default=0, compare=False)


def test_values_are_compared_by_their_fields() -> None:
    assert Pair("a", 1) == Pair("a", 2) != Pair("b")
    assert {Pair("a", 1): "found"}[Pair("a", 2)] == "found"
    assert replace(Pair("a"), number=3).number == 3
    assert [one.name for one in fields(Pair)] == ["name", "number"]


def test_value_has_no_other_attributes() -> None:
    """Objects have slots: a misspelt field is an error."""
    with pytest.raises(AttributeError):
        Pair("a").__setattr__("nmae", "b")


def test_type_checkers_are_told_that_fields_never_change() -> None:
    """Type checkers read this mark, and refuse to set a field."""
    mark = getattr(immutable, "__dataclass_transform__")  # noqa: B009 - the type stubs lack it.
    # Python 3.11 keeps it among others.
    assert (mark | mark["kwargs"])["frozen_default"] is True
