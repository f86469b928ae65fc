"""Which limits a request counts against, and under which pseudonyms."""

from collections.abc import Sequence
from dataclasses import replace

from shared.errors import ClientThrottled, DeviceThrottled
from shared.pseudonyms import Pseudonyms
from shared.settings import Settings
from shared.throttle.limiter import Subject
from shared.throttle.policy import Limit


class Subjects:
    """Makes the subjects of a request from the settings."""

    def __init__(self, settings: Settings, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._failures = Limit("failures", settings.throttle_failures, "failed", charged=False)
        self._device = (Limit("device", settings.throttle_device, "created", charged=True), self._failures)
        self._person = (
            Limit("principal", settings.throttle_principal, "created", charged=True),
            self._failures,
        )
        self._transaction = (Limit("reference", settings.throttle_reference, "created", charged=True),)
        self._client = (Limit("client", settings.throttle_client, "created", charged=True),)
        self._overrides = {(one.caller, one.limit): one.policy for one in settings.throttle_overrides}
        self._misses = (Limit("misses", settings.throttle_misses, "missed", charged=True),)

    async def of_create(
        self,
        device: str,
        person: str | None,
        network: str | None,
        transaction: str | None = None,
        *,
        names: Sequence[str | None] = (),
    ) -> list[Subject]:
        """Return the subjects that a create counts against: device, person, transaction and address.

        `device`, `person` and `transaction` are pseudonyms; `person` comes from `person_of`.
        `names` are the caller's client id and issuer; the first one with an override of a limit decides that limit.
        """
        subjects = [Subject(f"device-{device}", self._for(names, self._device), DeviceThrottled)]
        if person is not None:
            subjects.append(Subject(f"principal-{person}", self._for(names, self._person), ClientThrottled))
        if transaction is not None:
            subjects.append(Subject(f"transaction-{transaction}", self._transaction, ClientThrottled))
        limits = self._for(names, self._client)
        # Callers with another limit count apart: a log keeps no more entries than the limit that it was written under.
        apart = () if limits == self._client else (str(limits[0].policy),)
        return subjects + await self._of_address("client", network, limits, *apart)

    def _for(self, names: Sequence[str | None], limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
        """The limits as the overrides for a caller change them."""
        return tuple([self._overridden(names, limit) for limit in limits])

    def _overridden(self, names: Sequence[str | None], limit: Limit) -> Limit:
        for name in names:
            if name is not None and (policy := self._overrides.get((name, limit.name))):
                return replace(limit, policy=policy)
        return limit

    async def person_of(self, caller: str, principal: str) -> str:
        """The pseudonym of the person that a check is for.

        It is the caller's where `principal` is the caller's own name. Each other person that a server names has
        limits of its own, apart for each server.
        """
        if await self._pseudonyms.of("principal", principal) == caller:
            return caller
        return await self._pseudonyms.of("person", caller, principal)

    async def of_failure(
        self, device: str, caller: str | None, principal: str | None
    ) -> list[tuple[str, Limit]]:
        """Return the rows and limits for a failed check: those of device and person.

        `device` and `caller` are the pseudonyms in the record, and `principal` is the name in it.
        """
        subjects = [(f"device-{device}", self._failures)]
        if caller is not None and principal is not None:
            subjects.append((f"principal-{await self.person_of(caller, principal)}", self._failures))
        return subjects

    async def of_miss(self, caller: str | None, network: str | None) -> list[Subject]:
        """Return the subjects that a request with an unknown session or a wrong token counts against.

        They are apart from those of a create: cheap guesses must not use up what a whole network creates with. The
        misses of a signed-in `caller` (a pseudonym) count for it alone, because others share its address.
        """
        if caller is not None:
            return [Subject(f"miss-{caller}", self._misses, ClientThrottled)]
        return await self._of_address("miss", network, self._misses)

    async def _of_address(
        self, kind: str, network: str | None, limits: tuple[Limit, ...], *apart: str
    ) -> list[Subject]:
        if network is None:
            return []
        pseudonym = await self._pseudonyms.of("client", network, *apart)
        return [Subject(f"{kind}-{pseudonym}", limits, ClientThrottled)]
