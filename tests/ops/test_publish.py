"""`ops publish`, against an SCM site on loopback that answers as App Service does."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from ops.azure_cli import AzureCli
from ops.output import CommandFailed, Output
from ops.publish import Scm, find_site, publish, tag
from ops.publish import run as run_publish
from shared.release import Release
from tests.ops.shell import add_az, add_package, run_command

PACKAGE = b"a package"
RUNNING, FAILED, SUCCESS, CONFLICT, PARTIAL, CANCELLED = 1, 3, 4, 5, 6, -1
NO_ROLE = "InaccessibleStorageException: Failed to access storage account"
IP_RULE = {"x-ms-forbidden-ip": "192.0.2.1"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to a package; a `lost` one arrives and starts a deployment, but its answer does not say so."""

    status: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    reason: str | None = None
    late: int = 0
    """A lost package that shows among the deployments only after this many looks."""


@dataclass
class ScmSite:
    """The SCM site, with the app behind Easy Auth and IP rules at the same address."""

    refusals: list[Refusal] = field(default_factory=list)
    outcomes: list[Sequence[tuple[int, str]]] = field(default_factory=list)
    """For each deployment the states that it passes through, one for each look; the last one stays."""
    token: str = "Bearer a-token"
    named: bool = True
    """Whether the answer to a package has the id of its deployment."""
    overtaken: bool = False
    """Whether somebody else deploys right after each package."""
    packages: list[bytes] = field(default_factory=list)
    deployments: list[list[tuple[int, str]]] = field(default_factory=lambda: [[(SUCCESS, "the one before")]])
    blocked: Refusal | None = None
    to_the_app: list[str] = field(default_factory=list)
    hidden: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Answer any request; the app itself refuses all."""
        if not request.path.startswith(("/api/publish", "/api/deployments/")):
            self.to_the_app.append(request.path)
            return web.Response(status=401)
        if request.headers.get("Authorization") != self.token:
            return web.Response(status=401)
        if self.blocked:
            return web.Response(
                status=self.blocked.status, headers=self.blocked.headers, reason=self.blocked.reason
            )
        return await self._publish(request) if request.method == "POST" else self._latest()

    async def _publish(self, request: web.Request) -> web.Response:
        assert request.query["RemoteBuild"] == "false"
        assert request.headers["Content-Type"] == "application/zip"
        refusal = self.refusals.pop(0) if self.refusals else None
        self.hidden = refusal.late if refusal else 0
        if refusal is None or refusal.lost:
            self.packages.append(await request.read())
            self.deployments.append(list(self.outcomes.pop(0) if self.outcomes else [(SUCCESS, "")]))
        if refusal:
            return web.Response(
                status=refusal.status, text=refusal.text, headers=refusal.headers, reason=refusal.reason
            )
        mine = self._id()
        if self.overtaken:
            self.deployments.append([(SUCCESS, "of somebody else")])
        return web.Response(status=202, text=json.dumps(mine) if self.named else "")

    def _latest(self) -> web.Response:
        if not self.deployments:
            return web.Response(status=404)
        if self.hidden:
            self.hidden -= 1
            return web.json_response({"id": f"deployment-{len(self.deployments) - 1}", "status": SUCCESS})
        states = self.deployments[-1]
        status, text = states.pop(0) if len(states) > 1 else states[0]
        if status >= 400:
            return web.Response(status=status)
        return web.json_response({"id": self._id(), "status": status, "status_text": text, "message": None})

    def _id(self) -> str:
        return f"deployment-{len(self.deployments)}"


@dataclass
class Published:
    """How publishing ended, and how long it waited."""

    error: str
    slept: list[float]


async def published(
    url: str,
    package: bytes = PACKAGE,
    *,
    admitted: bool = False,
    during: Callable[[float], None] = lambda _: None,
) -> Published:
    """Publish in a thread, without waiting; `during` gets the seconds that were waited, after each wait."""
    slept: list[float] = []
    scm = Scm(url, "a-token")

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        during(sum(slept))

    def run() -> str:
        try:
            publish(scm, package, Output(), admitted=admitted, clock=lambda: sum(slept), sleep=sleep)
        except CommandFailed as failure:
            return str(failure)
        return ""

    return Published(await asyncio.to_thread(run), slept)


@pytest.fixture
def site() -> ScmSite:
    """An SCM site with one deployment of earlier."""
    return ScmSite()


@pytest.fixture
async def url(site: ScmSite) -> AsyncIterator[str]:
    """Its URL on loopback."""
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}".format(*runner.addresses[0])
    await runner.cleanup()


# What the site answers to packages, the states of its deployments, and how often the package arrives.
SUCCESSES: list[tuple[str, list[Refusal], list[list[tuple[int, str]]], int]] = [
    ("deployed at once", [], [[(SUCCESS, "")]], 1),
    ("after a while", [], [[(0, ""), (RUNNING, ""), (2, ""), (SUCCESS, "")]], 1),
    ("site restarts meanwhile", [], [[(RUNNING, ""), (503, ""), (403, ""), (SUCCESS, "")]], 1),
    ("site restarts afterwards", [], [[(PARTIAL, "Kudu has been restarted after package deployed")]], 1),
    ("answer was lost", [Refusal(502, lost=True)], [[(RUNNING, ""), (SUCCESS, "")]], 1),
    ("answer was lost, and it lasts", [Refusal(502, lost=True)], [[(RUNNING, "")] * 9 + [(SUCCESS, "")]], 1),
    ("record is gone afterwards", [], [[(RUNNING, ""), (503, ""), (404, "")]], 1),
    ("record is gone at once", [], [[(404, "")]], 1),
    ("answer was lost, and it arrives late", [Refusal(502, lost=True, late=31)], [], 1),
    ("package was lost", [Refusal(503)], [], 1),
    ("role of the app is new", [], [[(RUNNING, ""), (FAILED, NO_ROLE)], [(SUCCESS, "")]], 2),
    ("role of the app is new, in the answer", [Refusal(500, NO_ROLE), Refusal(500, NO_ROLE)], [], 1),
    ("role of the deployer is new", [Refusal(403)], [], 1),
    ("another deployment runs", [Refusal(409)], [], 1),
]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("refusals", "outcomes", "arrivals"), [row[1:] for row in SUCCESSES], ids=[row[0] for row in SUCCESSES]
)
async def test_package_is_published_and_sent_again_only_where_it_did_not_arrive(
    site: ScmSite,
    url: str,
    refusals: list[Refusal],
    outcomes: list[list[tuple[int, str]]],
    arrivals: int,
    named: bool,
) -> None:
    """The list of deployments decides. The app, which Easy Auth and IP rules hide, is never asked."""
    site.refusals, site.outcomes, site.named = list(refusals), list(outcomes), named

    ended = await published(url)

    assert ended.error == ""
    assert site.packages == [PACKAGE] * arrivals
    assert site.to_the_app == []


async def test_first_package_of_an_app_is_published(site: ScmSite, url: str) -> None:
    """A new app has no deployment to compare with."""
    site.deployments.clear()

    assert (await published(url)).error == ""


# What the site answers, the states of the deployment, and the error.
FAILURES: list[tuple[list[Refusal], list[list[tuple[int, str]]], str]] = [
    ([], [[(FAILED, "Package is broken")]], "failed: Package is broken"),
    ([], [[(CANCELLED, "")]], "was cancelled"),
    ([], [[(CONFLICT, "")]], "another deployment to this app took the place"),
    ([Refusal(400, "Invalid zip")], [], "the SCM site answered 400 Invalid zip"),
    ([Refusal(403, headers=IP_RULE)], [], "the IP rules of the SCM site refuse 192.0.2.1"),
    ([Refusal(403, reason="Ip Forbidden")], [], "the IP rules of the SCM site refuse this machine"),
]


@pytest.mark.parametrize(("refusals", "outcomes", "error"), FAILURES, ids=[row[2] for row in FAILURES])
async def test_failure_that_no_time_heals_is_told_at_once(
    site: ScmSite, url: str, refusals: list[Refusal], outcomes: list[list[tuple[int, str]]], error: str
) -> None:
    """Nothing is sent again, and nothing waits."""
    site.refusals, site.outcomes = list(refusals), list(outcomes)

    ended = await published(url)

    assert error in ended.error
    assert len(site.packages) <= 1
    assert ended.slept == []


async def test_login_and_ip_rules_are_told_before_the_package_is_sent(site: ScmSite, url: str) -> None:
    """A package of megabytes is not sent to somebody who refuses it."""
    site.blocked = Refusal(403, headers=IP_RULE)
    forbidden = await published(url)
    site.token = "Bearer another"
    unknown = await published(url)

    assert "the IP rules of the SCM site refuse 192.0.2.1" in forbidden.error
    assert "does not accept the login of az: run az login" in unknown.error
    assert (site.packages, forbidden.slept, unknown.slept) == ([], [], [])


@pytest.mark.parametrize("headers", [IP_RULE, {}])
async def test_rule_that_was_just_made_has_three_minutes(
    site: ScmSite, url: str, headers: dict[str, str]
) -> None:
    """The pipeline admits its runner right before: App Service may refuse it for a while, also in the middle."""
    site.blocked = Refusal(403, headers=headers, reason="Ip Forbidden")

    def admit(waited: float) -> None:
        if waited > 60:
            site.blocked = None

    admitted = await published(url, admitted=True, during=admit)
    site.blocked = Refusal(403, headers=headers, reason="Ip Forbidden")
    never = await published(url, admitted=True)

    assert (admitted.error, site.packages) == ("", [PACKAGE])
    assert "the IP rules of the SCM site refuse" in never.error
    assert 120 < sum(never.slept) <= 180


async def test_role_that_never_comes_ends_with_what_azure_said(site: ScmSite, url: str) -> None:
    """It tries for a quarter of an hour; a role takes up to ten minutes."""
    site.outcomes = [[(FAILED, NO_ROLE)] for _ in range(200)]

    ended = await published(url)

    assert ended.error.startswith("the package could not be published: the app cannot write its storage")
    assert "InaccessibleStorageException" in ended.error
    assert 600 < sum(ended.slept) <= 910


@pytest.mark.parametrize("never_shows", [False, True], ids=["another is the newest", "ours never shows"])
async def test_other_deployment_is_not_taken_for_ours(site: ScmSite, url: str, never_shows: bool) -> None:
    """The site names the deployment of the package: nothing else says that it was made."""
    if never_shows:
        site.refusals = [Refusal(202, '"deployment-2"', lost=True, late=10_000)]
    else:
        site.outcomes, site.overtaken = [[(RUNNING, "")]], True

    assert "the deployment has not ended" in (await published(url)).error


async def test_nothing_answers() -> None:
    """The name of a new site may not be known yet, so it tries for as long."""
    ended = await published("http://127.0.0.1:1")

    assert "nothing answers" in ended.error
    assert sum(ended.slept) > 600


ID = "/subscriptions/a-subscription/resourceGroups/a-group"


def described(scm: str = "an-app.scm.example") -> dict[str, object]:
    """An app as Azure describes it. The hash and the region of a new one are in its host names."""
    names = {"Standard": "an-app-abc.westeurope-01.azurewebsites.net", "Repository": scm}
    hosts = [{"hostType": kind, "name": name} for kind, name in names.items()]
    return {"id": f"{ID}/providers/Microsoft.Web/sites/an-app", "properties": {"hostNameSslStates": hosts}}


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ('[ "$*" = "{words}" ] && echo "{}"', []),
        (
            "echo 'ERROR: (AuthorizationFailed) No right to tags' >&2; exit 1",
            ["stay as they are: (Authorization"],
        ),
    ],
)
def test_resource_group_is_tagged_with_what_was_published(
    script: str, line: list[str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A deployer that may not set tags has published all the same."""
    words = f"tag update --resource-id {ID} --operation Merge --tags version=1.0 commit=abc --output json"
    add_az(path, script.replace("{words}", f"{words} --only-show-errors"))

    tag(AzureCli(), ID, Release("1.0", "abc"))

    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == len(line)
    assert all(part in error for part, error in zip(line, errors, strict=True))


async def test_command_publishes_with_the_login_of_az_and_tags(
    site: ScmSite, url: str, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The site takes the token of az. It refuses the machine until the new IP rule acts."""
    add_az(
        path,
        f"""echo "$*" >>{path}/calls
case "$*" in
"resource show "*) echo '{json.dumps(described(url.removeprefix("http://")))}' ;;
"account get-access-token "*) echo '{{"accessToken": "a-token"}}' ;;
esac""",
    )
    package = add_package(path)
    site.blocked = Refusal(403, headers=IP_RULE)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 60:
            site.blocked = None

    timed = partial(run_publish, scheme="http", clock=lambda: sum(slept), sleep=sleep)
    monkeypatch.setattr("ops.publish.run", timed)
    options = ["--admitted", "--subscription", "a-subscription", "--json"]
    words = ["publish", "a-group", "an-app", str(package), *options]
    ended = await asyncio.to_thread(run_command, capsys, words, {})

    assert (ended.status, site.packages) == (0, [package.read_bytes()])
    assert "as deployment deployment-2" in ended.objects[0]["result"]
    assert "the IP rules of the SCM site refuse 192.0.2.1" in "".join(ended.errors)
    of_app = "--resource-group a-group --name an-app --resource-type Microsoft.Web/sites"
    assert (path / "calls").read_text().splitlines() == [
        f"{asked} --subscription a-subscription --output json --only-show-errors"
        for asked in (
            f"resource show {of_app}",
            "account get-access-token",
            f"tag update --resource-id {ID} --operation Merge --tags version=1.0 commit=abc",
        )
    ]


LOGIN = {"accessToken": "a-token"}
ALMOST: list[object] = [
    {"id": ID, "properties": {"hostNameSslStates": hosts}} for hosts in ([], [{"hostType": "Standard"}], None)
]
SHAPES: list[object] = [{}, [], None, "a text"]


@pytest.mark.parametrize(
    ("shown", "login"),
    [
        *((site, LOGIN) for site in [*SHAPES, *ALMOST, described() | {"id": None}]),
        *((described(), login) for login in SHAPES),
    ],
    ids=json.dumps,
)
def test_answer_of_another_shape_is_told(
    shown: object, login: object, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later Azure CLI may answer so. Nothing is published."""
    add_az(
        path,
        f"""case "$1" in
resource) echo '{json.dumps(shown)}' ;;
account) echo '{json.dumps(login)}' ;;
esac""",
    )

    ended = run_command(capsys, ["publish", "a-group", "an-app", str(add_package(path))], {})

    assert (ended.status, ended.lines) == (1, [])
    assert "describes the app or its login in another way than expected" in "".join(ended.errors)


# What `az resource show` says, as azure-cli 2.91 does.
TYPO = "ERROR: (ResourceNotFound) The Resource 'Microsoft.Web/sites/an-app' was not found.\nCode: ResourceNotFound"
NO_GROUP = "ERROR: (ResourceGroupNotFound) Resource group 'a-group' could not be found.\nCode: x"
NO_LOGIN = "ERROR: Please run 'az login' to setup account."


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (TYPO, "check both names"),
        (NO_GROUP, "check both names"),
        (NO_LOGIN, "run az login, and az account set"),
    ],
)
def test_typo_and_missing_login_are_told_apart(says: str, error: str, path: Path) -> None:
    """The error says what to do."""
    add_az(path, f"cat >&2 <<'END'\n{says}\nEND\nexit 3".replace("cat", "/bin/cat"))

    with pytest.raises(CommandFailed, match=error):
        find_site(AzureCli(), "a-group", "an-app")


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["", "an-app", "broker.zip"], 2, "RESOURCE_GROUP: is missing"),
        (["a-group", "", "broker.zip"], 2, "FUNCTION_APP: is missing"),
        (["a-group", "an-app", "none.zip"], 2, "is not a package"),
        (["a-group", "an-app", "broker.zip"], 1, "there is no app an-app in resource group a-group"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, error: str
) -> None:
    """A deployment that printed no name must not wait for a quarter of an hour."""
    add_az(path, "echo \"ERROR: (x) The Resource 'x' was not found.\" >&2; exit 3")
    add_package(path)
    group, app, name = arguments

    ended = run_command(capsys, ["publish", group, app, str(path / name)], {})

    assert ended.status == status
    assert error in "".join(ended.errors)
