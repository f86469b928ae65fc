"""Says what stands in the way of a deployment before it is tried; or of a running broker, which it asks itself.

    python -m scripts.preflight dev|prod|azd
    python -m scripts.preflight --url URL --key FUNCTION_KEY [--token TOKEN]

The first needs `az`, signed in, and `bicep`; it asks about the subscription that is selected there, and for `azd` about
AZURE_SUBSCRIPTION_ID, where azd says so. It changes nothing. Ends with 1 where something has to be done first.
"""

import argparse
import os
from collections.abc import Iterator, Sequence

from scripts.azure_cli import AskFailed, Azure, AzureCli
from scripts.broker_client import Failed, Service
from scripts.deployment_plan import Plan, plan_of
from scripts.preflight_checks import Finding, run_checks, signed_in

# By the error codes that `/api/ready` answers.
_TO_DO = {
    "KeyUnavailable": "is KEY_VAULT_URL right, is the secret there, has the identity the role Key Vault Secrets User?",
    "StorageUnavailable": "has the identity the role Storage Table Data Contributor, are the tables there?",
    "UpstreamUnauthorized": "does the key in the vault belong to this Face account, and to its region?",
    "UpstreamFailure": "is FACE_ENDPOINT right, does the region answer?",
    "UpstreamQuotaExceeded": "the call volume of the subscription is used up: raise the tier",
    "UpstreamThrottled": "others use the same Face account: lower FACE_MAX_TPS, or ask for a higher limit",
    "UpstreamTimeout": "is Face reachable from where the app runs?",
}


def main(arguments: Sequence[str] | None = None, azure: Azure | None = None) -> int:
    """Print each finding, and what to do about it."""
    options = _options(arguments)
    if options.url:
        findings = list(broker_findings(Service(options.url.rstrip("/"), options.token), options.key))
    else:
        findings = azure_findings(azure or AzureCli(_subscription(options.environment)), options.environment)
    for finding in findings:
        print(f"{'BLOCKS ' if finding.blocking else 'note   '} {finding.what}\n         {finding.to_do}")
    blocking = sum(finding.blocking for finding in findings)
    print(f"{blocking} in the way, {len(findings) - blocking} to be known.")
    return 1 if blocking else 0


def azure_findings(azure: Azure, environment: str) -> list[Finding]:
    """What stands in the way in Azure."""
    try:
        account = signed_in(azure)
    except AskFailed as failure:
        return [
            Finding(True, f"not signed in: {failure}", "az login, and az account set --subscription NAME")
        ]
    plan: Plan = plan_of(environment, account.subscription, account.tenant)
    print(
        f"Subscription {account.subscription}, signed in as {account.user}; regions: {', '.join(plan.regions)}"
    )
    return run_checks(azure, account, plan)


def broker_findings(service: Service, key: str) -> Iterator[Finding]:
    """What a running broker, local or deployed, says of what it needs."""
    try:
        answer = service.ask("GET", "/api/ready", x_functions_key=key)
    except Failed as failure:
        yield Finding(True, str(failure), "start it: make run; or look at the log stream of the app")
        return
    if not answer.body:
        yield Finding(
            True,
            f"readiness was not told: {answer}",
            "give a function key with --key (make run prints it), and a token with --token before Easy Auth",
        )
    for dependency in answer.body.get("dependencies", ()):
        if problem := dependency["problem"]:
            code = problem.partition(":")[0]
            yield Finding(
                True, f"{dependency['name']}: {problem}", _TO_DO.get(code, "see the logs of the app")
            )


def _subscription(environment: str) -> str | None:
    """Which one to ask about; azd has its own, whatever is selected in the Azure CLI."""
    return os.environ.get("AZURE_SUBSCRIPTION_ID") if environment == "azd" else None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "environment", nargs="?", choices=("dev", "prod", "azd"), help="what is to be deployed"
    )
    parser.add_argument("--url", help="a running broker to ask, such as http://127.0.0.1:7071")
    parser.add_argument("--key", default="", help="a function key of that broker")
    parser.add_argument("--token", help="a bearer token that Easy Auth before it takes")
    options = parser.parse_args(arguments)
    if (options.environment is None) == (options.url is None):
        parser.error("either an environment or --url is needed")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
