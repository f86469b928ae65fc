"""Which limits a request counts against, and under which pseudonyms."""

from shared.callers import Caller
from shared.errors import ClientThrottled, DeviceThrottled
from shared.pseudonyms import Pseudonyms
from shared.settings import Settings
from shared.throttle import Limit, Subject


class Limits:
    """Makes the subjects of a request out of the settings."""

    def __init__(self, settings: Settings, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._failures = Limit("failures", settings.throttle_failures, "failed", charged=False)
        self._device = (Limit("device", settings.throttle_device, "created", charged=True), self._failures)
        self._principal = (Limit("principal", settings.throttle_principal, "created", charged=True),)
        self._client = (Limit("client", settings.throttle_client, "called", charged=True),)

    async def of_create(self, device: str, caller: Caller) -> list[Subject]:
        """What a create counts against; `device` is the device's pseudonym."""
        subjects = [Subject(f"device-{device}", self._device, DeviceThrottled)]
        if caller.principal is not None:
            principal = await self._pseudonyms.of("principal", caller.principal)
            subjects.append(Subject(f"principal-{principal}", self._principal, ClientThrottled))
        return subjects + await self.of_miss(caller)

    def of_failure(self, device: str) -> tuple[str, Limit]:
        """Where a check that did not pass is entered: the row and the limit of the device's pseudonym."""
        return f"device-{device}", self._failures

    async def of_miss(self, caller: Caller) -> list[Subject]:
        """What asking with an unknown session or a wrong token counts against."""
        if caller.network is None:
            return []
        network = await self._pseudonyms.of("client", caller.network)
        return [Subject(f"client-{network}", self._client, ClientThrottled)]
