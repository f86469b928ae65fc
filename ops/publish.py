"""`ops publish`: send a package to the SCM site of a function app, and follow the deployment to its end.

`az functionapp deployment source config-zip` sends it to the same place, and then asks the app for its health. IP rules
and Easy Auth refuse that, so that a success looks like a failure: https://github.com/Azure/azure-cli/issues/31394.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from ops.azure_cli import OF_ANOTHER_SHAPE, AskFailed, AzureCli
from ops.broker_client import Answer, NoAnswer, request
from ops.output import CommandFailed, Output, notify, printable
from ops.package import release_of
from shared.release import Release

# https://github.com/projectkudu/kudu/blob/master/Kudu.Contracts/Deployment/DeployStatus.cs
_CANCELLED: Final = -1
_FAILED: Final = 3
_SUCCESS: Final = 4
_CONFLICT: Final = 5
# The package is deployed, and a step after it failed: mostly because the SCM site itself was restarted
# (https://github.com/Azure/azure-cli/issues/33184).
_PARTIAL_SUCCESS: Final = 6

_PAUSE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 2.0
_UPLOAD_TIMEOUT_SECONDS: Final = 300.0
_ROLE_SECONDS: Final = 900.0
"""How long to try again: a new role of the app's identity takes up to ten minutes to reach the storage account."""
_RULE_SECONDS: Final = 180.0
"""How long a machine that was admitted right before may be refused: no page says how soon App Service obeys."""
_ARRIVAL_SECONDS: Final = 60.0
"""How long a package of which the answer was lost may take to show among the deployments."""
_DEPLOYMENT_SECONDS: Final = 900.0

_NEW_ROLE = re.compile(
    "InaccessibleStorage|BlobUploadFailed|AuthorizationPermissionMismatch|inaccessible", re.I
)
_NOT_FOUND = re.compile("not (be )?found", re.I)


class _TryAgain(Exception):
    """Azure may accept the next try; the text says what it refused."""


class _IpRefused(CommandFailed):
    """The IP rules of the SCM site refuse this machine."""


class _RoleIsNew(_TryAgain):
    """The package arrived, and has to be sent again: the app could not write it to its storage account."""


@dataclass(frozen=True, slots=True)
class _Deployment:
    """An entry of the site's list; `status` is a number of Kudu."""

    id: str | None
    status: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A package that was sent: the newest deployment before it, and its own where the answer named it."""

    before: str | None
    id: str | None = None
    lost: str = ""
    """Why it is unknown whether the package arrived."""


@dataclass(frozen=True, slots=True)
class Scm:
    """The SCM site of an app, called with an Entra token."""

    url: str
    token: str

    def latest(self) -> _Deployment:
        """Return the newest deployment; a new app has none."""
        answer = self._call("GET", "/api/deployments/latest")
        if answer.status == HTTPStatus.NOT_FOUND:
            return _Deployment(None)
        body = _accepted(answer).body
        text = f"{body.get('status_text') or ''} {body.get('message') or ''}".strip()
        return _Deployment(body.get("id"), body.get("status", 0), text)

    def send(self, package: bytes) -> Answer:
        """Send the package; the answer has the id of its deployment."""
        return self._call("POST", "/api/publish?RemoteBuild=false&Deployer=ops", package)

    def _call(self, method: str, path: str, body: bytes | None = None) -> Answer:
        return request(self.url, method, path, body, self.token, {}, timeout=_UPLOAD_TIMEOUT_SECONDS)


def run(
    arguments: argparse.Namespace,
    *,
    scheme: str = "https",
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Publish a package; raises `CommandFailed` with what the operator has to do. Tests set the scheme and the time."""
    release, package = release_of(arguments.package), arguments.package.read_bytes()
    azure, output = AzureCli(arguments.subscription), Output(arguments.json)
    site = find_site(azure, arguments.group, arguments.app)
    # A token for the management of Azure, which SCM sites accept. It outlives the deployment.
    login = azure.must_ask("account", "get-access-token")
    try:
        scm = Scm(f"{scheme}://{scm_host(site)}", login["accessToken"])
        group = site["id"].partition("/providers/")[0]
    except OF_ANOTHER_SHAPE as error:
        raise CommandFailed(
            f"the Azure CLI describes the app or its login in another way than expected ({type(error).__name__}): "
            "az upgrade"
        ) from error
    notify(f"app {arguments.app} in resource group {arguments.group}, package of {release}")
    publish(scm, package, output, admitted=arguments.admitted, clock=clock, sleep=sleep)
    tag(azure, group, release)


def find_site(azure: AzureCli, group: str, app: str) -> Any:  # noqa: ANN401 - JSON of Azure.
    """Return the app as Azure describes it; raises `CommandFailed` where a name is wrong, or a login is missing."""
    query = ("--resource-group", group, "--name", app, "--resource-type", "Microsoft.Web/sites")
    try:
        return azure.must_ask("resource", "show", *query)
    except CommandFailed as failure:
        if not _NOT_FOUND.search(str(failure)):
            raise
        raise CommandFailed(
            f"there is no app {app} in resource group {group}: check both names, and `az account show`"
        ) from failure


def scm_host(site: Any) -> str:  # noqa: ANN401 - JSON of Azure.
    """Return the host name of the app's SCM site, which cannot be told from the name of the app.

    Raises one of `OF_ANOTHER_SHAPE` where Azure names none.
    """
    hosts = site["properties"]["hostNameSslStates"]
    name, *_ = (host["name"] for host in hosts if host["hostType"] == "Repository")
    return str(name)


def tag(azure: AzureCli, group: str, release: Release) -> None:
    """Tag the resource group with the release that was published; without the right to, only a line says so."""
    tags = (f"version={release.version}", f"commit={release.commit}")
    try:
        azure.ask("tag", "update", "--resource-id", group, "--operation", "Merge", "--tags", *tags)
    except AskFailed as failure:
        notify(f"the tags of the resource group stay as they are: {failure}")


def publish(
    scm: Scm,
    package: bytes,
    output: Output,
    *,
    admitted: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Send the package until the site takes it, and wait until it is deployed; raises `CommandFailed`.

    `admitted`: an IP rule that lets this machine in was made right before, and may not act yet.
    """
    end = clock() + _ROLE_SECONDS
    end_of_refusals = clock() + (_RULE_SECONDS if admitted else 0.0)
    sent: _Sent | None = None
    while True:
        try:
            # A package of which the answer was lost may arrive late: look before it is sent again.
            if sent is None or scm.latest().id in (None, sent.before):
                sent = _send(scm, package)
            deployment = _follow(scm, sent, clock, sleep)
            break
        except (NoAnswer, _TryAgain, _IpRefused) as refusal:
            if isinstance(refusal, _RoleIsNew):
                sent = None
            if clock() >= (end_of_refusals if isinstance(refusal, _IpRefused) else end):
                raise CommandFailed(f"the package could not be published: {refusal}") from refusal
            notify(f"{refusal}; trying again")
            sleep(_PAUSE_SECONDS)
    text = f" ({printable(deployment.text)})" if deployment.text else ""
    output.result(f"published {len(package):,} bytes as deployment {deployment.id}{text}")


def _send(scm: Scm, package: bytes) -> _Sent:
    before = scm.latest().id
    try:
        answer = scm.send(package)
    except NoAnswer as failure:
        return _Sent(before, lost=str(failure))
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _Sent(before, lost=f"the SCM site answered {_shown(answer)}")
    return _Sent(before, _deployment_id(_accepted(answer)))


def _follow(scm: Scm, sent: _Sent, clock: Callable[[], float], sleep: Callable[[float], None]) -> _Deployment:
    """Wait for the end of the deployment. Where the answer was lost, the newest one tells whether it arrived.

    A record that was there and is gone means that the deployment ended: the site forgets it when it restarts
    (`Poll` in https://github.com/Azure/azure-dev/blob/main/cli/azd/pkg/azsdk/funcapp_host_client.go; az does the same).
    """
    started, seen = clock(), False
    while clock() < started + _DEPLOYMENT_SECONDS:
        latest = _look(scm)
        waited = clock() >= started + _ARRIVAL_SECONDS
        if latest and latest.id and (latest.id == sent.id if sent.id else latest.id != sent.before):
            seen = True
            if latest.status >= _FAILED or latest.status == _CANCELLED:
                return _ended(latest)
        elif sent.lost and not seen:
            if waited:
                raise _TryAgain(sent.lost)
        elif latest and latest.id in (None, sent.before) and (seen or (waited and latest.id is None)):
            gone = "the site restarted and keeps no record of it: run the smoke test"
            return _Deployment(sent.id, _SUCCESS, gone)
        sleep(_LOOK_SECONDS)
    raise CommandFailed(f"the deployment has not ended: see {scm.url}/api/deployments/latest")


def _look(scm: Scm) -> _Deployment | None:
    """Return the newest deployment, or None while the site restarts, as it does when it deploys."""
    try:
        return scm.latest()
    except (NoAnswer, _TryAgain):
        return None


def _ended(deployment: _Deployment) -> _Deployment:
    if deployment.status in (_SUCCESS, _PARTIAL_SUCCESS):
        return deployment
    if deployment.status == _CANCELLED:
        raise CommandFailed(f"deployment {deployment.id} was cancelled")
    if deployment.status == _CONFLICT:
        raise CommandFailed("another deployment to this app took the place of this one")
    text = printable(deployment.text)
    if _NEW_ROLE.search(deployment.text):
        raise _RoleIsNew(f"the app cannot write its storage account yet: {text}")
    raise CommandFailed(f"deployment {deployment.id} failed: {text}")


def _accepted(answer: Answer) -> Answer:
    """Return an answer of success; raises `_TryAgain` if the next try may succeed, else `CommandFailed`."""
    if answer.status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        return answer
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise CommandFailed("the SCM site does not accept the login of az: run az login")
    # App Service names the address that its IP rules refuse in a header, and the rules beside the status.
    address = answer.headers.get("x-ms-forbidden-ip", "")
    if address or answer.reason == "Ip Forbidden":
        whom = printable(address) or "this machine"
        raise _IpRefused(f"the IP rules of the SCM site refuse {whom}: publish from elsewhere")
    what = f"the SCM site answered {_shown(answer)}"
    if answer.status == HTTPStatus.FORBIDDEN:
        raise _TryAgain(f"{what}: the role of the deployer may be new, or miss Website Contributor")
    if answer.status == HTTPStatus.CONFLICT or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _TryAgain(what)
    raise CommandFailed(what)


def _deployment_id(answer: Answer) -> str | None:
    try:
        found = json.loads(answer.text)
    except ValueError:
        return None
    return found if isinstance(found, str) else None


def _shown(answer: Answer) -> str:
    return f"{answer.status} {printable(answer.text)}".rstrip()
