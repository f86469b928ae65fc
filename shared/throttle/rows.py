"""What is stored of an identity: one row with the logs of its limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Self

from shared.errors import StorageUnavailable
from shared.storage.port import Entity, Value
from shared.throttle.policy import MAX_LIMIT, Log

_LOG: Final = re.compile(rf"(?:[0-9a-f]{{1,12}}(?:\.[0-9a-f]{{1,12}}){{0,{MAX_LIMIT - 1}}})?")


@dataclass(frozen=True, slots=True)
class Row:
    """The logs of one identity, by name; from `expires_at` (unix milliseconds) on, none means anything.

    `etag` is that of the stored row that it was made from; empty: none is stored.
    """

    key: str
    logs: Mapping[str, Log]
    expires_at: int = 0
    etag: str = ""

    @classmethod
    def of(cls, entity: Entity) -> Self:
        """Read a stored row; raises `StorageUnavailable` for content that is not a row's.

        It is never taken for an empty row: that would admit whoever has used up the limit.
        """
        try:
            logs = {name: decode(value) for name, value in entity.values.items()}
        except ValueError as error:
            raise StorageUnavailable("a throttle row holds something that is not a log") from error
        if not logs:
            raise StorageUnavailable("a throttle row holds no log")
        return cls(entity.key, logs, entity.expires_at, entity.etag)

    def entity(self) -> Entity:
        """Make the entity to store."""
        values = {name: encode(log) for name, log in self.logs.items()}
        return Entity(self.key, values, self.expires_at, self.etag)

    def log(self, name: str) -> Log:
        """Answer a log; one that nothing was ever entered in is empty."""
        return self.logs.get(name, ())

    def with_log(self, name: str, log: Log, expires_at: int = 0) -> Self:
        """Answer the row with another log under a name, meaning something at least until a time.

        Who writes one log knows nothing of the policies of the others: `expires_at` never goes back.
        """
        return type(self)(self.key, {**self.logs, name: log}, max(self.expires_at, expires_at), self.etag)

    def stored_as(self, etag: str) -> Self:
        """Answer the row as it is known after it was stored."""
        return type(self)(self.key, self.logs, self.expires_at, etag)


def encode(log: Log) -> str:
    """Write a log as its first time and the steps from there, in hexadecimal: `19aaf3d2c01.0.3e8`."""
    if not log:
        return ""
    return ".".join([f"{log[0]:x}", *[f"{later - earlier:x}" for earlier, later in pairwise(log)]])


def decode(text: Value) -> Log:
    """Read what `encode` wrote; raises `ValueError` for anything else."""
    if not isinstance(text, str) or not _LOG.fullmatch(text):
        raise ValueError("not a log of admissions")
    return tuple(accumulate(int(step, 16) for step in text.split("."))) if text else ()
