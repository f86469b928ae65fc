"""Session ids, as strictly as something that becomes part of a URL has to be read."""

import re

from shared.errors import UpstreamSessionGone

# `uuid.UUID` takes braces, `urn:uuid:`, any hyphens and full-width digits; `$` takes a newline at the end.
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

NO_SESSION = "00000000-0000-0000-0000-000000000000"
"""The id that no session has."""


def parse(text: str) -> str | None:
    """Answer `text` where it is a GUID in its canonical, lower-case form, else None."""
    return text if _GUID.fullmatch(text) else None


def path_below(sessions_path: str, session_id: str) -> str:
    """Answer the path of one session; raises `UpstreamSessionGone` for an id that no session can have."""
    if parse(session_id) is None:
        raise UpstreamSessionGone
    return f"{sessions_path}/{session_id}"
