"""An app with everything around it in memory, for use-cases without HTTP."""

from shared.app import App, build
from shared.face.model import Face
from shared.keys.secret import Secret, StaticSecret
from shared.pseudonyms import Pseudonyms
from shared.settings import Settings
from shared.storage.port import EntityStore
from tests.support.broker import PEPPER, environment
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock


def pseudonyms_of(pepper: str) -> Pseudonyms:
    """Pseudonyms under a pepper, or several with commas between them."""
    return Pseudonyms(StaticSecret(Secret(pepper)))


PSEUDONYMS = pseudonyms_of(PEPPER)
"""As the broker of the tests makes them."""


def app_of(
    *,
    face: Face | None = None,
    store: EntityStore | None = None,
    clock: FakeClock | None = None,
    **settings: str,
) -> App:
    """Build the app over fakes; its clock stands still until a test moves it."""
    mapping = environment("http://127.0.0.1:9", **settings)
    return build(
        Settings.from_mapping(mapping), clock=clock or FakeClock(), face=face or FakeFace(), store=store
    )
