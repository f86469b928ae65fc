"""Sealing what must not lie in a table in the clear: AES-256-GCM, the nonce in front.

The library is imported where it is used: it takes longer to load than most requests take, and few need it.
"""

NONCE_BYTES = 12


def seal(key: bytes, nonce: bytes, content: bytes, bound_to: bytes) -> bytes:
    """Encrypt under a 32-byte key; `bound_to` has to be the same when it is opened. A nonce serves once per key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return nonce + AESGCM(key).encrypt(nonce, content, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes | None:
    """Decrypt, or answer None where this is not what was sealed under this key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except InvalidTag:
        return None
