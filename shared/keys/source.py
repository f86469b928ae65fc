"""Where a secret comes from, as its users see it, and the source that never changes."""

from typing import Protocol

from shared.keys.secret import Secret, require_usable


class SecretSource(Protocol):
    """A secret that may be replaced while it is used."""

    async def get(self) -> Secret:
        """Answer the value to use now; raises `KeyUnavailable`."""
        ...

    async def refresh(self, refused: Secret) -> Secret:
        """Answer a newer value than the refused one, or that one again; raises `KeyUnavailable`."""
        ...


class StaticSecret:
    """A value from the settings, for local runs: there is no newer one."""

    def __init__(self, value: Secret, *, name: str) -> None:
        self._value = value
        self._name = name

    async def get(self) -> Secret:
        """Answer the value; raises `KeyUnavailable` where it cannot be sent."""
        return require_usable(self._value, self._name)

    async def refresh(self, refused: Secret) -> Secret:
        """Answer the same value, whatever was refused."""
        return await self.get()
