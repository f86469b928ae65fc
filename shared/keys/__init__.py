"""The Face key and other secrets: where they are kept, how they are cached, how they prove a call to Face."""

from shared.keys.cache import CachedSecret
from shared.keys.credentials import IdentityCredential, KeyCredential
from shared.keys.identity import ManagedIdentity, open_identity
from shared.keys.key_vault import KeyVaultSecrets, open_key_vault
from shared.keys.lifetimes import Lifetimes
from shared.keys.secret import Secret
from shared.keys.source import SecretSource, StaticSecret

__all__ = [
    "CachedSecret",
    "IdentityCredential",
    "KeyCredential",
    "KeyVaultSecrets",
    "Lifetimes",
    "ManagedIdentity",
    "Secret",
    "SecretSource",
    "StaticSecret",
    "open_identity",
    "open_key_vault",
]
