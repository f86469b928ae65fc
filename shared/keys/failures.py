"""Errors of the Azure SDKs, turned into `KeyUnavailable` whose detail tells the operator what to do.

The SDKs' errors are cut off with `from None`: their texts quote whole bodies, which may hold a secret.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.errors import KeyUnavailable

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError

_NETWORK = "the vault's network rules keep the app out: let its subnet in; secret {name}"
_ADVICE = {
    "401": "the vault does not accept the identity's token: both have to be in one tenant",
    "403": "the app's identity needs the role Key Vault Secrets User on the vault; secret {name}",
    "403 SecretDisabled": "secret {name} is disabled: enable its current version",
    "403 ForbiddenByFirewall": _NETWORK,
    "403 ForbiddenByConnection": _NETWORK,
    "404": "there is no secret {name}: create it, or correct its name in the settings",
    "429": "the vault throttles the app; secret {name}",
}
"""By status, or by status and inner code: https://learn.microsoft.com/azure/key-vault/general/rest-error-codes."""

# What App Service answers for an identity that the app does not have; None where the SDK finds no endpoint to ask.
_IDENTITY_MISSING = (None, 400, 403)
_ASSIGN = "assign it, and compare the configured client id"
_IDENTITY_ANSWERS = {
    401: ": it does not accept the app's own header: restart the app",
    404: ": the identity is not there, or not yet: try again, then " + _ASSIGN,
    408: ": it was too slow: try again later",
    429: ": it throttles the app: try again later",
}


@contextmanager
def explained_for_vault(host: str, name: str) -> Iterator[None]:
    """Turn every error of one read of a secret into `KeyUnavailable`."""
    from azure.core.exceptions import AzureError, HttpResponseError

    from shared.azure_transport import asked_pause

    try:
        yield
    except HttpResponseError as error:
        status = str(error.status_code or _cause(error))
        answer = f"{status} {_inner_code(error)}".rstrip()
        advice = _ADVICE.get(answer) or _ADVICE.get(status, "try again later; secret {name}")
        detail = f"Key Vault answered {answer}: {advice.format(name=name)}"
        wait = asked_pause(error)
        raise KeyUnavailable(f"{detail}; vault host {host}", retry_after=wait) from None
    except (AzureError, TimeoutError) as error:
        raise KeyUnavailable(f"Key Vault did not answer ({_cause(error)}); vault host {host}") from None
    except ValueError as error:
        # The SDK raises this for a challenge that names another domain, and for a body that is not JSON.
        raise KeyUnavailable(f"the answer is not Key Vault's ({_cause(error)}); vault host {host}") from None


@contextmanager
def explained_for_identity() -> Iterator[None]:
    """Turn every error of one request for a token into `KeyUnavailable`."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    from shared.azure_transport import asked_pause

    try:
        yield
    except KeyUnavailable:
        raise
    except ClientAuthenticationError as error:
        raise KeyUnavailable(_refusal(error.status_code), retry_after=asked_pause(error)) from None
    except (AzureError, TimeoutError) as error:
        raise KeyUnavailable(f"the managed identity endpoint did not answer ({_cause(error)})") from None
    except Exception as error:
        # The SDK lets through what its parsers raise.
        raise KeyUnavailable(f"the managed identity endpoint answered no token ({_cause(error)})") from None


def _inner_code(error: "HttpResponseError") -> str:
    inner = error.error.innererror if error.error else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) and code.isalnum() else ""


def _refusal(status: int | None) -> str:
    if status in _IDENTITY_MISSING:
        shown = f" ({status})" if status else ""
        return f"the managed identity is missing or not assigned to the app{shown}: {_ASSIGN}"
    meaning = _IDENTITY_ANSWERS.get(status or 0, " without a token")
    return f"the managed identity endpoint answered {status}{meaning}"


def _cause(error: Exception) -> str:
    return type(getattr(error, "inner_exception", None) or error).__name__
