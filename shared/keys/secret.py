"""A value that shows itself only to who asks for it by name."""

import hmac
import re
from typing import NoReturn

from shared.errors import KeyUnavailable

_SHOWN = "<secret>"
_UNRESOLVED_REFERENCE = "@Microsoft.KeyVault("
_USABLE = re.compile(r"[!-~]+")


class Secret:
    """A key or token: no repr, text, format, pickle or traceback with locals holds its value.

    `expires_at` is when the value stops working by itself, in unix milliseconds, or None.
    """

    __slots__ = ("_value", "expires_at")

    def __init__(self, value: str, expires_at: int | None = None) -> None:
        self._value = value
        self.expires_at = expires_at

    def reveal(self) -> str:
        """Give the value itself away: call this where it is sent, and keep it in no variable."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, format_spec: str) -> str:
        return _SHOWN

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is neither copied nor pickled")


def require_usable(secret: Secret, name: str) -> Secret:
    """Hand the secret back where a header can carry it; raise `KeyUnavailable` that says why it cannot.

    App Service leaves a reference that it cannot resolve in place, as the literal text of the setting:
    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    if flaw := flaw_of(secret):
        raise KeyUnavailable(f"secret {name} {flaw}")
    return secret


def flaw_of(secret: Secret) -> str | None:
    """Why a header cannot carry the secret, or None."""
    if not secret.reveal():
        return "is empty"
    if secret.reveal().startswith(_UNRESOLVED_REFERENCE):
        return "is a Key Vault reference that the platform did not resolve: put the value itself there"
    if not _USABLE.fullmatch(secret.reveal()):
        return "holds something other than printable ASCII without blanks, such as a line break at its end"
    return None
