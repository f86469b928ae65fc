"""The keys of a function app: who may call a function of which auth level."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import azure.functions as func

__all__ = ["AccessKeys"]


@dataclass(frozen=True, slots=True)
class AccessKeys:
    """The function key and the master key, which opens everything."""

    function_key: str = field(repr=False)
    master_key: str = field(repr=False)

    def opens(self, level: func.AuthLevel, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Tell whether the key in the header `x-functions-key`, else in the query's `code`, suffices."""
        if level is func.AuthLevel.ANONYMOUS:
            return True
        given = headers.get("x-functions-key") or query.get("code", "")
        accepted = [self.master_key]
        if level is func.AuthLevel.FUNCTION:
            accepted.append(self.function_key)
        return any(key and hmac.compare_digest(given.encode(), key.encode()) for key in accepted)
