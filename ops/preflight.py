"""`ops preflight`: find what would block a deployment, or what a running broker lacks. Changes nothing."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Final

from ops.azure_cli import AzureCli
from ops.broker_client import Broker
from ops.deployment_plan import plan_of
from ops.output import CommandFailed, Output, counted, notify
from ops.preflight_checks import Finding, run_checks, signed_in

_ADVICE: Final = {
    "KeyUnavailable": "check KEY_VAULT_URL, the secret, the identity's role Key Vault Secrets User; or AUTH_ISSUER",
    "StorageUnavailable": "check the identity's role Storage Table Data Contributor, and that the tables exist",
    "UpstreamUnauthorized": "check that the key in the vault belongs to this Face account and its region",
    "UpstreamNotApproved": "apply for Limited Access with this subscription, or use an approved Face resource",
    "UpstreamFailure": "check FACE_ENDPOINT, and whether the region answers",
    "UpstreamQuotaExceeded": "the subscription's call volume is used up: raise the tier",
    "UpstreamThrottled": "others use the same Face account: lower FACE_MAX_TPS, or ask for a higher limit",
    "UpstreamTimeout": "check that the app can reach Face",
}
"""What to do about the error codes of `/api/ready`."""


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Print each finding with what to do about it; raises `CommandFailed` where one blocks."""
    output = Output(arguments.json)
    if arguments.url:
        broker = Broker(arguments.url.rstrip("/"), environment.get("BROKER_TOKEN"))
        notify(f"broker {broker.url}")
        findings = list(broker_findings(broker, environment.get("BROKER_KEY", "")))
        report(findings, "the broker is ready", "the broker is not ready", output)
        return
    # azd deploys to its own subscription, whatever is selected in the Azure CLI.
    is_azd = arguments.environment == "azd"
    azure = AzureCli(environment.get("AZURE_SUBSCRIPTION_ID") if is_azd else None)
    findings = azure_findings(azure, arguments.environment)
    report(findings, "nothing blocks deployment", "deployment is blocked", output)


def azure_findings(azure: AzureCli, environment: str) -> list[Finding]:
    """Check the subscription for what the environment would deploy; raises `CommandFailed` without a login."""
    account = signed_in(azure)
    plan = plan_of(environment, account.subscription, account.tenant)
    regions = ", ".join(plan.regions)
    notify(f"subscription {account.subscription}, signed in as {account.user}, regions {regions}")
    return run_checks(azure, account, plan)


def broker_findings(broker: Broker, key: str) -> Iterator[Finding]:
    """Ask a running broker for its dependencies, and yield those that fail."""
    try:
        answer = broker.call("GET", "/api/ready", x_functions_key=key)
    except CommandFailed as failure:
        yield Finding(str(failure), "start it with make run, or look at the app's log stream")
        return
    if "dependencies" not in answer.body:
        yield Finding(
            f"the broker does not tell whether it is ready: {answer}",
            "set BROKER_KEY to the function key `default` of the app (`preflight --help` says where it is), and behind "
            "Easy Auth BROKER_TOKEN",
        )
    for dependency in answer.body.get("dependencies", ()):
        if problem := dependency["problem"]:
            code = problem.partition(":")[0]
            yield Finding(f"{dependency['name']}: {problem}", _ADVICE.get(code, "see the app's logs"))


def report(findings: list[Finding], good: str, bad: str, output: Output) -> None:
    """Print the findings and what they add up to; raises `CommandFailed` where one blocks."""
    for finding in findings:
        output.result(
            f"{'problem' if finding.blocking else 'note':<9}{finding.what}\n         {finding.advice}",
            problem=finding.what,
            advice=finding.advice,
            blocking=finding.blocking,
        )
    blocking = sum(finding.blocking for finding in findings)
    if blocking:
        raise CommandFailed(f"{bad}: {counted(blocking, 'problem')}")
    notes = len(findings) - blocking
    output.summary(good + (f"; {counted(notes, 'note')}" if notes else ""))
