"""How many examples the state machines try, and how long they are."""

from typing import Final

from hypothesis import settings

from tests.support.processes import SOAK

FORM: Final = settings(max_examples=20_000 if SOAK else 75, stateful_step_count=50)
