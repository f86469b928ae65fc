"""`ops smoke`, against a broker on loopback."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.broker_client import Answer
from ops.broker_client import Broker as Client
from ops.output import CommandFailed, Output
from ops.smoke import check_ready, check_session, wait_for_health
from shared.errors import UpstreamThrottled
from shared.face.budget import Budget
from shared.release import Release
from tests.e2e.signed_in import ROLE, signed_in
from tests.ops.shell import add_package, run_beside
from tests.support.broker import FUNCTION_KEY, Broker, running_broker
from tests.support.easy_auth import guarded
from tests.support.fake_face import FakeFace


@dataclass
class Time:
    """A clock of seconds that only its waits move on; `then` is called after each."""

    then: Callable[[], None] = lambda: None
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return sum(self.waits)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.then()

    def check(self, client: Client, seconds: float = 60) -> str:
        """Run the steps of a session, and wait up to so many seconds; returns the error."""
        try:
            check_session(client, Output(), anonymous=True, seconds=seconds, clock=self.now, sleep=self.wait)
        except CommandFailed as failure:
            return str(failure)
        return ""


STEPS = "health, unauthenticated create, create, read, read with another token, revoke, ready"


async def test_all_steps_pass_against_a_local_broker(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many times: each run is a new device, whose limits it does not reach."""
    for _ in range(6):
        ended = await run_beside(capsys, f"smoke {broker.host.url} --anonymous", BROKER_KEY=FUNCTION_KEY)

    assert (ended.status, ended.errors, ended.target) == (0, [], f"broker {broker.host.url}")
    assert ", ".join(line.split(":")[0].split("  ", 1)[1].strip() for line in ended.lines) == STEPS
    script = await run_beside(capsys, f"smoke {broker.host.url} --anonymous --json", BROKER_KEY=FUNCTION_KEY)
    assert (script.status, len(script.objects)) == (0, len(ended.lines))


async def test_broker_that_signs_nobody_in_is_no_success_without_anonymous(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """A create without a token has to be refused. Behind Easy Auth the broker itself has to read tokens too."""
    async with guarded(broker, "a-token") as url:
        guarded_alone = await run_beside(capsys, f"smoke {url}", BROKER_TOKEN="a-token")
        bad = await run_beside(capsys, f"smoke {url}", BROKER_TOKEN="another")
    unguarded = await run_beside(capsys, f"smoke {broker.host.url}")

    assert (guarded_alone.status, bad.status, unguarded.status) == (1, 1, 1)
    assert guarded_alone.errors[0].startswith("ops: audit: expected 200, got 401")
    assert bad.errors[0].startswith("ops: health: 401")
    assert unguarded.errors[0].startswith("ops: unauthenticated create: expected 401, got 200")


@pytest.mark.parametrize("easy_auth", [True, False])
async def test_token_needs_the_role_where_the_broker_signs_callers_in(
    capsys: pytest.CaptureFixture[str], easy_auth: bool
) -> None:
    """A person's token creates sessions too: only what servers may do shows that the role is missing."""
    async with signed_in() as scene:
        tokens = scene.issuer.token(roles=ROLE), scene.issuer.token()
        async with guarded(scene.broker, *tokens) as guard:
            url = guard if easy_auth else scene.broker.host.url
            server, person = [
                await run_beside(capsys, f"smoke {url}", BROKER_TOKEN=token) for token in tokens
            ]

    assert (server.status, server.errors) == (0, [])
    assert server.lines[1] == "passed   unauthenticated create: refused"
    assert "passed   role: the token reads and audits any session" in server.lines
    error = "ops: role: the token has no role Liveness.Operate: assign it to whom the token is for"
    assert (person.status, person.errors) == (1, [error])


@pytest.mark.parametrize(
    ("option", "advice"),
    [("", "into BROKER_TOKEN"), ("--anonymous", "into BROKER_TOKEN and leave --anonymous out")],
)
async def test_broker_that_signs_callers_in_asks_for_a_token(
    capsys: pytest.CaptureFixture[str], option: str, advice: str
) -> None:
    async with signed_in() as scene:
        ended = await run_beside(capsys, f"smoke {scene.broker.host.url} {option}")

    error = f"ops: create: callers sign in here: put an access token {advice}"
    assert (ended.status, ended.errors) == (1, [error])


async def test_trouble_with_face_is_named_with_its_code(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line has the failed step, the code, and the request id to look for in the logs; or what to do about it."""
    broker.simulator.keys = {"another-key"}

    ended = await run_beside(capsys, f"smoke {broker.host.url} --anonymous")
    with pytest.raises(CommandFailed, match=r"face: UpstreamUnauthorized.*: check that the key in the vault"):
        await asyncio.to_thread(check_ready, Client(broker.host.url), FUNCTION_KEY, Output())

    assert ended.status == 1
    assert ended.errors[0].startswith("ops: create: expected 200, got 502 UpstreamUnauthorized")
    assert "(request id " in ended.errors[0]


async def test_release_that_does_not_run_fails(
    broker: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The package before answers as well as the new one: only version and commit tell them apart."""
    words = f"smoke {broker.host.url} --anonymous --release {add_package(tmp_path)}"
    unknown = await run_beside(capsys, words)
    monkeypatch.setattr("health.trigger.RELEASE", Release("1.0", "abd"))
    older = await run_beside(capsys, words)
    monkeypatch.setattr("health.trigger.RELEASE", Release("1.0", "abc"))
    right = await run_beside(capsys, words)
    no_package = await run_beside(capsys, f"{words}.none")

    assert (unknown.status, older.status, right.status, no_package.status) == (1, 1, 0, 2)
    new = "runs, and not version 1.0, commit abc"
    assert unknown.errors[0].startswith(f"ops: health: version None, commit None {new}")
    assert older.errors[0].startswith(f"ops: health: version 1.0, commit abd {new}")
    assert right.lines[0] == "passed   health: the app has started, version 1.0, commit abc"


async def test_create_is_repeated_until_the_roles_of_the_app_are_known(broker: Broker) -> None:
    """A new role takes minutes; a refusal for another reason fails at once."""
    right, broker.simulator.keys = broker.simulator.keys, {"another-key"}

    def learn() -> None:
        if len(time.waits) == 3:
            broker.simulator.keys = right

    time, client = Time(learn), Client(broker.host.url)
    error = await asyncio.to_thread(time.check, client, 9)
    waited = list(time.waits)

    assert error.startswith("create: expected 200, got 502 UpstreamUnauthorized")
    assert waited == [5, 5]
    assert await asyncio.to_thread(time.check, client, 300) == ""
    assert time.waits == [5, 5, 5]


@dataclass(frozen=True)
class WrongClient(Client):
    """A broker some of whose answers are replaced, by the number of the call."""

    wrong: Mapping[int, Answer] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        self.made.append(method)
        right = super().call(method, path, body, **headers)
        return self.wrong.get(len(self.made), right)


@pytest.mark.parametrize(
    ("number", "answer", "error"),
    [
        (2, Answer(200, {}, {"status": "Started"}), "read: the status of a new session is Started"),
        (3, Answer(200, {}, {}), "read with another token: expected 404, got 200"),
        (4, Answer(404, {}, {}), "revoke: expected 204, got 404"),
        (5, Answer(200, {}, {}), "read after revoking: expected 404, got 200"),
    ],
)
async def test_each_step_can_fail(broker: Broker, number: int, answer: Answer, error: str) -> None:
    """A broker that shows a session to anybody, or after its end, does not pass."""
    client = WrongClient(broker.host.url, wrong={number: answer})

    assert (await asyncio.to_thread(Time().check, client)).startswith(error)


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        ("KeyUnavailable", [5]),
        ("StorageUnavailable", [5]),
        ("UpstreamUnauthorized", [5]),
        ("UpstreamThrottled", [5]),
        ("UpstreamNotApproved", []),
        ("InternalError", []),
    ],
)
async def test_only_what_passes_is_waited_for(broker: Broker, code: str, waits: list[float]) -> None:
    """Each service learns the roles of the app at its own time. Other refusals fail at once."""
    refusal, time = Answer(503, {"x-ms-error-code": code}, {"error": {"code": code}}), Time()

    error = await asyncio.to_thread(time.check, WrongClient(broker.host.url, wrong={1: refusal}))

    assert (time.waits, error == "") == (waits, waits != [])


@pytest.mark.parametrize("rate", [0.1, 0.3])
async def test_broker_of_the_free_tier_passes_where_smoke_waits_as_it_is_told(rate: float) -> None:
    """Tier F0 takes 20 calls a minute: the revocation has no room at first. Without a wait its refusal is told."""
    time = Time()

    async def take_turn(seconds: float) -> None:
        time.wait(seconds)

    budget = Budget(rate, monotonic=time.now, sleep=take_turn)
    async with running_broker(budget=budget) as broker:
        errors = [
            await asyncio.to_thread(time.check, Client(broker.host.url), seconds)
            for seconds in (0, 60, 60, 60)
        ]

        assert errors[0].startswith("revoke: expected 204, got 503 UpstreamThrottled")
        assert errors[1:] == [""] * 3
        assert [session.deleted for session in broker.simulator.sessions] == [False, True, True, True]


async def test_call_is_repeated_when_its_refusal_said() -> None:
    """A repeat that comes before the time of `Retry-After` would be refused again."""
    face, time = FakeFace(), Time()
    face.fail("create", UpstreamThrottled("no room", retry_after=17.0, request_sent=False))
    async with running_broker(face=face) as broker:
        assert await asyncio.to_thread(time.check, Client(broker.host.url)) == ""

    assert len(time.waits) == 1
    assert time.waits[0] >= 17


def test_app_is_waited_for_as_long_as_was_asked() -> None:
    """It asks again until the time is over, and then says that nothing answers."""
    broker, time = Client("http://127.0.0.1:1"), Time()

    with pytest.raises(CommandFailed, match="nothing answers"):
        wait_for_health(broker, 12, Output(), clock=time.now, sleep=time.wait)
    assert time.waits == [5, 5, 5]
