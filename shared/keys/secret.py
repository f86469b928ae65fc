"""A value that is shown only on request, and the port through which a caller gets one."""

import hmac
import re
from itertools import combinations
from typing import NoReturn, Protocol

from shared.errors import KeyUnavailable

_SHOWN = "<secret>"
_UNRESOLVED_REFERENCE = "@Microsoft.KeyVault("
_USABLE = re.compile(r"[!-~]+")


class Secret:
    """A key or token. No repr, format, pickle or traceback with locals shows its value.

    `expires_at` is when the value stops working by itself, in unix milliseconds, or None.
    """

    __slots__ = ("_value", "expires_at")

    def __init__(self, value: str, expires_at: int | None = None) -> None:
        self._value = value
        self.expires_at = expires_at

    def reveal(self) -> str:
        """Return the value itself: call this where it is sent, and keep it in no variable."""
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
        raise TypeError("a secret cannot be copied or pickled")


class SecretSource(Protocol):
    """A secret that may be replaced while it is used."""

    async def get(self) -> Secret:
        """Return the value to use now; raises `KeyUnavailable`."""

    async def refresh(self, refused: Secret) -> Secret:
        """Return a newer value than the refused one, or the refused one again; raises `KeyUnavailable`."""


class StaticSecret:
    """A `SecretSource` with one value from the settings: for local runs."""

    failing = False
    refresh_pause = 0.0

    def __init__(self, value: Secret) -> None:
        self._value = value

    async def get(self) -> Secret:
        """Return the value."""
        return self._value

    async def refresh(self, refused: Secret, *, may_read: bool = True) -> Secret:
        """Return the same value, whatever was refused."""
        return self._value


def flaw_of(secret: Secret) -> str | None:
    """Why a header cannot carry the secret, or None.

    App Service leaves a reference that it cannot resolve in place, as the literal text of the setting:
    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    if not secret.reveal():
        return "is empty"
    if secret.reveal().startswith(_UNRESOLVED_REFERENCE):
        return "is a Key Vault reference that the platform did not resolve: put the value itself there"
    if not _USABLE.fullmatch(secret.reveal()):
        return "has a character other than printable ASCII without blanks, such as a line break at its end"
    return None


def values_of(secret: Secret) -> list[Secret]:
    """The values in a secret that holds one, or several with commas between them.

    Raises `KeyUnavailable` where one of them is empty, or there twice.
    """
    values = [Secret(value) for value in secret.reveal().split(",")]
    if Secret("") in values or any(one == other for one, other in combinations(values, 2)):
        raise KeyUnavailable("expected one value, or several different ones with commas between them")
    return values
