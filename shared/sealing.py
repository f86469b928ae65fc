"""Sealing of values that a table must not hold in the clear: AES-256-GCM, the nonce in front.

The library is imported late: it takes longer to load than most requests take, and few need it.
"""

NONCE_BYTES = 12
_TAG_BYTES = 16


def seal(key: bytes, nonce: bytes, content: bytes, bound_to: bytes) -> bytes:
    """Encrypt under a 32-byte key; opening needs the same `bound_to`. Use a nonce once for each key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return nonce + AESGCM(key).encrypt(nonce, content, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes | None:
    """Decrypt, or return None where the content was not sealed under this key and `bound_to`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(sealed) < NONCE_BYTES + _TAG_BYTES:
        return None
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except InvalidTag:
        return None
