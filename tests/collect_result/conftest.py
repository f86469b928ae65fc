import pytest

from tests.collect_result.workshop import Workshop


@pytest.fixture
def workshop() -> Workshop:
    """A collector with the default settings; nothing in it holds a connection that would have to be closed."""
    return Workshop()
