"""The rules that state machines on the stage have in common."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.support.stage import Call
from tests.support.world import StagedWorld

INDEX = st.integers(0, 7)
PLACE = st.integers(0, 1)


class StagedMachine(RuleBasedStateMachine):
    """Calls go on in any order, fail before or after their effect, or arrive late; instances end, phones hang up."""

    world: StagedWorld[Any]

    def teardown(self) -> None:
        self.world.close()

    @property
    def calls(self) -> list[Call]:
        return self.world.stage.calls

    def call(self, index: int) -> Call:
        return self.calls[index % len(self.calls)]

    @precondition(lambda self: self.calls)
    @rule(index=INDEX)
    def a_call_goes_on(self, index: int) -> None:
        self.world.go_on(self.call(index))

    @precondition(lambda self: self.calls)
    @rule(index=INDEX, turns=st.integers(1, 20))
    def a_request_goes_on(self, index: int, turns: int) -> None:
        self.world.follow(self.call(index), turns)

    @precondition(lambda self: self.calls)
    @rule()
    def everything_goes_on(self) -> None:
        self.world.finish()

    @precondition(lambda self: self.calls)
    @rule(index=INDEX, late=st.booleans())
    def a_call_fails(self, index: int, late: bool) -> None:
        self.world.fail(self.call(index), late=late)

    @precondition(lambda self: self.world.stage.late)
    @rule(index=INDEX)
    def a_late_effect_arrives(self, index: int) -> None:
        self.world.arrive(index)

    @precondition(lambda self: self.calls)
    @rule(trouble=st.sampled_from(["crash", "outage", "hang up"]), place=PLACE, late=st.booleans())
    def trouble_comes(self, trouble: str, place: int, late: bool) -> None:
        if trouble == "crash":
            self.world.crash(place, late=late)
        elif trouble == "outage":
            self.world.fail(*self.calls, late=late)
        elif self.world.requests:
            self.world.hang_up(place)
