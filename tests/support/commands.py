"""The create of a test, as its trigger makes it."""

from create_session.use_case import CreateCommand
from shared.access import Caller
from shared.face.model import LivenessMode, SessionSpec


def create_command(
    device: str = "a-device",
    caller: Caller | None = None,
    *,
    key: str | None = None,
    reference: str | None = None,
    on_behalf_of: str | None = None,
    lifetime: int = 600,
    fingerprint: str = "",
) -> CreateCommand:
    """Make a command; those with one fingerprint have the same request."""
    return CreateCommand(
        spec=SessionSpec(LivenessMode.PASSIVE, device, lifetime),
        device_id=device,
        client_reference=reference,
        caller=caller or Caller(),
        on_behalf_of=on_behalf_of,
        idempotency_key=key,
        fingerprint=fingerprint,
        request_id="a-request",
    )
