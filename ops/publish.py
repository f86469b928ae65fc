"""`ops publish`: send a package to the SCM site of a function app, and follow the deployment to its end.

`az functionapp deployment source config-zip` sends it to the same place, and then asks the app for its health. IP rules
and Easy Auth refuse that, so that a success looks like a failure: https://github.com/Azure/azure-cli/issues/31394.
"""

import argparse
import json
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ops.azure_cli import AskFailed, AzureCli
from ops.broker_client import Answer, NoAnswer, request
from ops.output import CommandFailed, Output, UsageError, notify, printable

# https://github.com/projectkudu/kudu/blob/master/Kudu.Contracts/Deployment/DeployStatus.cs
_FAILED: Final = 3
_SUCCESS: Final = 4
_CONFLICT: Final = 5
# The package is deployed, and a step after it failed: mostly because the SCM site itself was restarted.
_PARTIAL_SUCCESS: Final = 6

_PAUSE_SECONDS: Final = 10.0
_UPLOAD_TIMEOUT_SECONDS: Final = 300.0
_ROLE_SECONDS: Final = 900.0
"""How long to try again: a new role of the app's identity takes up to ten minutes to reach the storage account."""
_ARRIVAL_SECONDS: Final = 60.0
"""How long a package of which the answer was lost may take to show among the deployments."""
_DEPLOYMENT_SECONDS: Final = 900.0

_NEW_ROLE = re.compile(
    "InaccessibleStorage|BlobUploadFailed|AuthorizationPermissionMismatch|inaccessible", re.I
)
_NOT_FOUND = re.compile("not (be )?found", re.I)


class _TryAgain(Exception):
    """Azure may accept the next try; the text says what it refused."""


@dataclass(frozen=True, slots=True)
class _Deployment:
    """An entry of the site's list; `status` is a number of Kudu."""

    id: str | None
    status: int = 0
    text: str = ""


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


def run(arguments: argparse.Namespace) -> None:
    """Publish a package; raises `CommandFailed` with what the operator has to do."""
    package = _read(arguments.package)
    azure = AzureCli()
    scm = Scm(f"https://{scm_host(azure, arguments.group, arguments.app)}", _token(azure))
    notify(f"app {arguments.app} in resource group {arguments.group}")
    publish(scm, package, Output())


def scm_host(azure: AzureCli, group: str, app: str) -> str:
    """Return the host name of the app's SCM site, which cannot be told from the name of the app."""
    kind = ("--resource-type", "Microsoft.Web/sites")
    try:
        site = azure.ask("resource", "show", "--resource-group", group, "--name", app, *kind)
    except AskFailed as failure:
        if _NOT_FOUND.search(str(failure)):
            raise CommandFailed(
                f"there is no app {app} in resource group {group}: check both names, and `az account show`"
            ) from failure
        raise CommandFailed(f"{failure}; run az login, and az account set --subscription NAME") from failure
    hosts = site["properties"]["hostNameSslStates"]
    return str(next(host["name"] for host in hosts if host["hostType"] == "Repository"))


def publish(
    scm: Scm,
    package: bytes,
    output: Output,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Send the package until the site takes it, and wait until it is deployed; raises `CommandFailed`."""
    end = clock() + _ROLE_SECONDS
    while True:
        try:
            deployment = _attempt(scm, package, clock, sleep)
            break
        except (NoAnswer, _TryAgain) as refusal:
            if clock() >= end:
                raise CommandFailed(f"the package could not be published: {refusal}") from refusal
            notify(f"{refusal}; trying again")
            sleep(_PAUSE_SECONDS)
    partly = f" ({printable(deployment.text)})" if deployment.status == _PARTIAL_SUCCESS else ""
    output.result(f"published {len(package):,} bytes as deployment {deployment.id}{partly}")


def _attempt(
    scm: Scm, package: bytes, clock: Callable[[], float], sleep: Callable[[float], None]
) -> _Deployment:
    """Send the package once. Where the answer is lost, the list of deployments tells whether it arrived."""
    before = scm.latest().id
    sent, lost = None, ""
    try:
        answer = scm.send(package)
        if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            sent = _deployment_id(_accepted(answer))
        else:
            lost = f"the SCM site answered {_shown(answer)}"
    except NoAnswer as failure:
        lost = str(failure)

    started = clock()
    while clock() < started + _DEPLOYMENT_SECONDS:
        try:
            latest = scm.latest()
        except (NoAnswer, _TryAgain):
            # The site restarts while it deploys.
            latest = _Deployment(before)
        arrived = latest.id == sent if sent else latest.id != before
        if arrived and latest.status >= _FAILED:
            return _ended(latest)
        if lost and not arrived and clock() >= started + _ARRIVAL_SECONDS:
            raise _TryAgain(lost)
        sleep(_PAUSE_SECONDS)
    raise CommandFailed(f"the deployment has not ended: see {scm.url}/api/deployments/latest")


def _ended(deployment: _Deployment) -> _Deployment:
    if deployment.status in (_SUCCESS, _PARTIAL_SUCCESS):
        return deployment
    if deployment.status == _CONFLICT:
        raise CommandFailed("another deployment to this app took the place of this one")
    text = printable(deployment.text)
    if _NEW_ROLE.search(deployment.text):
        raise _TryAgain(f"the app cannot write its storage account yet: {text}")
    raise CommandFailed(f"deployment {deployment.id} failed: {text}")


def _accepted(answer: Answer) -> Answer:
    """Return an answer of success; raises `_TryAgain` where the next one may be, else `CommandFailed`."""
    if answer.status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        return answer
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise CommandFailed("the SCM site does not accept the login of az: run az login")
    # App Service names the address that its IP rules refuse.
    if address := answer.headers.get("x-ms-forbidden-ip"):
        raise CommandFailed(
            f"the IP rules of the SCM site refuse {printable(address)}: publish from elsewhere"
        )
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


def _read(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path} is not a package: build one with python3.13 -m scripts.package")
    return path.read_bytes()


def _token(azure: AzureCli) -> str:
    """Return a token for the management of Azure, which SCM sites accept. It outlives the deployment."""
    try:
        return str(azure.ask("account", "get-access-token")["accessToken"])
    except AskFailed as failure:
        raise CommandFailed(f"no token: {failure}; run az login") from failure
