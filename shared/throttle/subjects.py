"""Which limits a request counts against, and under which pseudonyms."""

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
        self._client = (Limit("client", settings.throttle_client, "called", charged=True),)

    async def of_create(
        self,
        device: str,
        caller: str | None,
        principal: str | None,
        network: str | None,
        transaction: str | None = None,
    ) -> list[Subject]:
        """Return the subjects that a create counts against: device, person, transaction and address.

        `device`, `caller` and `transaction` are pseudonyms. The person is the caller, or whom a server named: its
        `principal` counts apart for each caller, so that a server's persons do not share the limit of one.
        """
        subjects = [Subject(f"device-{device}", self._device, DeviceThrottled)]
        if person := await self._key_of_person(caller, principal):
            subjects.append(Subject(person, self._person, ClientThrottled))
        if transaction is not None:
            subjects.append(Subject(f"transaction-{transaction}", self._transaction, ClientThrottled))
        return subjects + await self.of_miss(network)

    async def of_failure(
        self, device: str, caller: str | None, principal: str | None
    ) -> list[tuple[str, Limit]]:
        """Return the rows and limits for a failed check, as of `of_create`: those of device and person."""
        keys = [f"device-{device}", await self._key_of_person(caller, principal)]
        return [(key, self._failures) for key in keys if key]

    async def of_miss(self, network: str | None) -> list[Subject]:
        """Return the subjects that a request with an unknown session or a wrong token counts against."""
        if network is None:
            return []
        pseudonym = await self._pseudonyms.of("client", network)
        return [Subject(f"client-{pseudonym}", self._client, ClientThrottled)]

    async def _key_of_person(self, caller: str | None, principal: str | None) -> str | None:
        if caller is None or principal is None:
            return None
        return f"principal-{await self._pseudonyms.of('person', caller, principal)}"
