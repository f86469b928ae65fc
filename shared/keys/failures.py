"""What the Azure SDKs raise, turned into `KeyUnavailable` whose detail tells the operator what to do.

The SDKs' errors are left behind, `from None`: their texts quote whole bodies, which may hold a secret.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.errors import KeyUnavailable

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError, HttpResponseError

_GRANT = (
    "the app's identity needs the role Key Vault Secrets User on the vault; secret {name}; vault host {host}"
)
_LET_IN = "the vault's network rules keep the app out: let its subnet in; secret {name}; vault host {host}"
_FORBIDDEN = {
    "SecretDisabled": "secret {name} is disabled: enable its current version; vault host {host}",
    "ForbiddenByFirewall": _LET_IN,
    "ForbiddenByConnection": _LET_IN,
}
"""Inner error codes of a 403 that is not about the role; the others are `ForbiddenByRbac` and `AccessDenied`:
https://learn.microsoft.com/azure/key-vault/general/rest-error-codes"""

_STATUS = {
    401: "the vault does not accept the identity's token: both have to be in one tenant; vault host {host}",
    404: "there is no secret {name}: create it, or correct its name in the settings; vault host {host}",
    429: "the vault throttles the app; secret {name}; vault host {host}",
}


@contextmanager
def explained_for_vault(host: str, name: str) -> Iterator[None]:
    """Around one call for a secret: whatever it raises becomes `KeyUnavailable`."""
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except KeyUnavailable:
        raise
    except HttpResponseError as error:
        raise KeyUnavailable(_answered(error, host, name)) from None
    except (AzureError, TimeoutError) as error:
        raise KeyUnavailable(f"Key Vault did not answer ({_cause(error)}); vault host {host}") from None
    except ValueError as error:
        # The SDK's word for a challenge that names another domain, and for a body that is not JSON.
        raise KeyUnavailable(f"what answered is no Key Vault ({_cause(error)}); vault host {host}") from None


@contextmanager
def explained_for_identity() -> Iterator[None]:
    """Around one call for a token of the managed identity: whatever it raises becomes `KeyUnavailable`."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    try:
        yield
    except ClientAuthenticationError as error:
        raise KeyUnavailable(_refused(error)) from None
    except (AzureError, TimeoutError) as error:
        raise KeyUnavailable(f"the managed identity endpoint did not answer ({_cause(error)})") from None
    except (KeyError, ValueError) as error:
        raise KeyUnavailable(f"the managed identity endpoint answered no token ({_cause(error)})") from None


def _answered(error: "HttpResponseError", host: str, name: str) -> str:
    code = _inner_code(error)
    advice = _FORBIDDEN.get(code, _GRANT) if error.status_code == 403 else _STATUS.get(error.status_code or 0)
    reason = (advice or "try again later; secret {name}; vault host {host}").format(name=name, host=host)
    return f"Key Vault answered {error.status_code or _cause(error)}{code and ' ' + code}: {reason}"


def _inner_code(error: "HttpResponseError") -> str:
    inner = error.error.innererror if error.error else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) and code.isalnum() else ""


def _refused(error: "HttpResponseError") -> str:
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
