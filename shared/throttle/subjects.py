"""Which limits a request counts against, and under which pseudonyms."""

from collections.abc import Iterable, Sequence
from typing import Final

from shared.errors import ClientThrottled, DeviceThrottled
from shared.pseudonyms import Pepper, Pseudonyms
from shared.sessions.record import SessionRecord
from shared.settings import Settings
from shared.throttle.limiter import Subject
from shared.throttle.policy import Limit, Limits, Policy

_DEVICE: Final = "device-"
_PERSON: Final = "principal-"


class Subjects:
    """Makes the subjects of a request from the settings."""

    def __init__(self, settings: Settings, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._failures = Limit("failures", settings.throttle_failures, "failed", charged=False)
        self._device = self._limits("device", settings.throttle_device)
        self._person = self._limits("principal", settings.throttle_principal)
        self._client = self._limits("client", settings.throttle_client)
        self._overridden = {
            (one.caller, one.limit): self._limits(one.limit, one.policy)
            for one in settings.throttle_overrides
        }
        self._transaction = Limits(Limit("reference", settings.throttle_reference, "created", charged=True))
        self._misses = Limits(Limit("misses", settings.throttle_misses, "missed", charged=True))

    def of_create(
        self,
        pepper: Pepper,
        device: str,
        person: str | None,
        network: str | None,
        transaction: str | None = None,
        *,
        names: Sequence[str | None] = (),
    ) -> list[Subject]:
        """Return the subjects that a create counts against: device, person, transaction and address.

        `device`, `person` and `transaction` are pseudonyms under this pepper.
        `names` are the caller's client id and issuer; the first one with an override of a limit decides that limit.
        """
        subjects = [self.of_row(key, names) for key in rows_of(device, person)]
        if transaction is not None:
            subjects.append(Subject(f"transaction-{transaction}", self._transaction, ClientThrottled))
        limits = self._for(names, "client", self._client)
        # Callers with another limit count apart: a log keeps no more entries than the limit that it was written under.
        apart = [str(limit.policy) for limit in limits if limit not in self._client]
        return subjects + _of_address(pepper, "client", network, limits, *apart)

    def of_row(self, key: str, names: Sequence[str | None] = ()) -> Subject:
        """Return the subject with the row of a device or a person, with the limits for a caller of these names."""
        if key.startswith(_DEVICE):
            return Subject(key, self._for(names, "device", self._device), DeviceThrottled)
        return Subject(key, self._for(names, "principal", self._person), ClientThrottled)

    def _limits(self, name: str, policy: Policy) -> Limits:
        """The limits of a device, a person or an address, with this policy for its creates."""
        created = Limit(name, policy, "created", charged=True)
        return Limits(created) if name == "client" else Limits(created, self._failures)

    def _for(self, names: Sequence[str | None], limit: str, limits: Limits) -> Limits:
        """The limits for a caller of these names: those of an override, or else these."""
        for name in names:
            if name is not None and (name, limit) in self._overridden:
                return self._overridden[name, limit]
        return limits

    def of_failure(self, record: SessionRecord) -> list[tuple[str, Limit]]:
        """Return the rows and limits for the failed checks of a session: those of its device and its person."""
        return [(key, self._failures) for key in record.limit_rows]

    async def of_misses(self, callers: Sequence[str], network: str | None) -> list[Subject]:
        """Return the subjects of a request with an unknown session or a wrong token: one for each pepper.

        They are apart from those of a create: cheap guesses must not use up what a whole network creates with. The
        misses of a signed-in caller, whose pseudonyms are `callers`, count for it alone, because others share its
        address. Their rows cannot be written together: admit one after the other.
        """
        if callers:
            return [Subject(f"miss-{caller}", self._misses, ClientThrottled) for caller in callers]
        peppers = await self._pseudonyms.peppers()
        return [one for pepper in peppers for one in _of_address(pepper, "miss", network, self._misses)]


def rows_of(device: str | None, person: str | None) -> list[str]:
    """The keys of the rows of a device and of a person, whose pseudonyms these are."""
    return [prefix + one for prefix, one in ((_DEVICE, device), (_PERSON, person)) if one is not None]


def devices_in(rows: Iterable[str]) -> set[str]:
    """The pseudonyms of the devices in the keys of rows; the inverse of `rows_of`."""
    return {key.removeprefix(_DEVICE) for key in rows if key.startswith(_DEVICE)}


def _of_address(pepper: Pepper, kind: str, network: str | None, limits: Limits, *apart: str) -> list[Subject]:
    if network is None:
        return []
    return [Subject(f"{kind}-{pepper.of('client', network, *apart)}", limits, ClientThrottled)]
