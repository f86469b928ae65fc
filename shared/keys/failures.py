"""Errors of the Azure SDKs, turned into `KeyUnavailable` whose detail tells the operator what to do.

The SDKs' errors are cut off with `from None`: their texts quote whole bodies, which may hold a secret.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.errors import KeyUnavailable

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError, HttpResponseError

_GRANT = "the app's identity needs the role Key Vault Secrets User on the vault; secret {name}"
_NETWORK = "the vault's network rules keep the app out: let its subnet in; secret {name}"
_FORBIDDEN = {
    "SecretDisabled": "secret {name} is disabled: enable its current version",
    "ForbiddenByFirewall": _NETWORK,
    "ForbiddenByConnection": _NETWORK,
}
"""Inner error codes of a 403 that is not about the role; the others are `ForbiddenByRbac` and `AccessDenied`:
https://learn.microsoft.com/azure/key-vault/general/rest-error-codes"""

_STATUS = {
    401: "the vault does not accept the identity's token: both have to be in one tenant",
    404: "there is no secret {name}: create it, or correct its name in the settings",
    429: "the vault throttles the app; secret {name}",
}


@contextmanager
def explained_for_vault(host: str, name: str) -> Iterator[None]:
    """Turn every error of one read of a secret into `KeyUnavailable`."""
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        advice = _advice(error).format(name=name)
        raise KeyUnavailable(f"Key Vault answered {_status(error)}: {advice}; vault host {host}") from None
    except (AzureError, TimeoutError) as error:
        raise KeyUnavailable(f"Key Vault did not answer ({_cause(error)}); vault host {host}") from None
    except ValueError as error:
        # The SDK raises this for a challenge that names another domain, and for a body that is not JSON.
        raise KeyUnavailable(f"the answer is not Key Vault's ({_cause(error)}); vault host {host}") from None


@contextmanager
def explained_for_identity() -> Iterator[None]:
    """Turn every error of one request for a token into `KeyUnavailable`."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    try:
        yield
    except ClientAuthenticationError as error:
        raise KeyUnavailable(_refusal(error)) from None
    except (AzureError, TimeoutError) as error:
        raise KeyUnavailable(f"the managed identity endpoint did not answer ({_cause(error)})") from None
    except (KeyError, ValueError) as error:
        raise KeyUnavailable(f"the managed identity endpoint answered no token ({_cause(error)})") from None


def _advice(error: "HttpResponseError") -> str:
    if error.status_code == 403:
        return _FORBIDDEN.get(_inner_code(error), _GRANT)
    return _STATUS.get(error.status_code or 0, "try again later; secret {name}")


def _status(error: "HttpResponseError") -> str:
    return f"{error.status_code or _cause(error)} {_inner_code(error)}".rstrip()


def _inner_code(error: "HttpResponseError") -> str:
    inner = error.error.innererror if error.error else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) and code.isalnum() else ""


def _refusal(error: "HttpResponseError") -> str:
    if error.status_code is None or 400 <= error.status_code < 500:
        status = f" ({error.status_code})" if error.status_code else ""
        return (
            f"the managed identity is missing or not assigned to the app{status}: "
            "assign it, and compare the configured client id"
        )
    return f"the managed identity endpoint answered {error.status_code} without a token"


def _cause(error: "AzureError | TimeoutError | KeyError | ValueError") -> str:
    inner = getattr(error, "inner_exception", None)
    return type(inner or error).__name__
