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
        self._principal = (Limit("principal", settings.throttle_principal, "created", charged=True),)
        self._client = (Limit("client", settings.throttle_client, "called", charged=True),)

    async def of_create(self, device: str, principal: str | None, network: str | None) -> list[Subject]:
        """Return the subjects that a create counts against; `device` is the device's pseudonym."""
        subjects = [Subject(f"device-{device}", self._device, DeviceThrottled)]
        if principal is not None:
            pseudonym = await self._pseudonyms.of("principal", principal)
            subjects.append(Subject(f"principal-{pseudonym}", self._principal, ClientThrottled))
        return subjects + await self.of_miss(network)

    def of_failure(self, device: str) -> tuple[str, Limit]:
        """Return the row and the limit for a failed check of a device; `device` is its pseudonym."""
        return f"device-{device}", self._failures

    async def of_miss(self, network: str | None) -> list[Subject]:
        """Return the subjects that a request with an unknown session or a wrong token counts against."""
        if network is None:
            return []
        pseudonym = await self._pseudonyms.of("client", network)
        return [Subject(f"client-{pseudonym}", self._client, ClientThrottled)]
