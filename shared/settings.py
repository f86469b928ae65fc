"""The settings: the only reader of the environment."""

import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Self
from urllib.parse import urlsplit

from shared.cloud import CLOUDS, PUBLIC, Cloud, cloud_of
from shared.errors import KeyUnavailable, SettingsError
from shared.face.endpoint import API_VERSIONS, REGION_NAMES, custom_endpoint
from shared.keys.secret import Secret, flaw_of, values_of
from shared.throttle.policy import Override, Policy
from shared.values import immutable

_EVENTS = "|".join(re.escape(cloud.events) for cloud in CLOUDS)
_STORAGE = "|".join(re.escape(cloud.storage) for cloud in CLOUDS)
# Azurite's own account, which is the same everywhere: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
_DEVELOPMENT_STORAGE = (
    "AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"
)
# Without a query or a fragment: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
_ISSUER = (
    r"(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?|http://(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5})"
    r"(/[A-Za-z0-9._~/-]*)?"
)
# As a browser writes it: a scheme, a host in lower case, and a port that is not the scheme's own.
_ORIGIN = r"https://[a-z0-9.-]+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?"
_GUID = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_NUMBER = r"[0-9]{1,9}(\.[0-9]{1,9})?"
_SECRET_NAME = "[0-9A-Za-z-]{1,127}"  # noqa: S105 - the pattern of a name.

SHORTEST_SIGNING_SECRET = 32
"""Bytes, as many as the hash of HS256 has: https://www.rfc-editor.org/rfc/rfc7518#section-3.2."""


def _setting(
    values: str | Callable[[str], object], expected: str, default: object = None, name: str | None = None
) -> Any:  # noqa: ANN401 - what dataclasses.field returns.
    """Declare a setting; `values` is the pattern of its values, or a function that parses them."""
    parse = _matching(values) if isinstance(values, str) else values
    return field(default=default, metadata={"parse": parse, "expected": expected, "name": name})


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return parse


def _number_within(
    lowest: float, highest: float, kind: Callable[[str], float] = int
) -> Callable[[str], float]:
    def parse(text: str) -> float:
        # Python would also take underscores, blanks and the digits of other alphabets.
        number = kind(_matching(_NUMBER)(text))
        if not lowest <= number <= highest:
            raise ValueError
        return number

    return parse


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[_matching("true|false")(text.lower())]


def _secret(text: str) -> Secret:
    if flaw_of(Secret(text)):
        raise ValueError
    return Secret(text)


def _peppers(text: str) -> Secret:
    secret = _secret(text)
    try:
        values_of(secret)
    except KeyUnavailable as flaw:
        raise ValueError from flaw
    return secret


def _base_url(text: str) -> str:
    url = urlsplit(_matching(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*")(text))
    # Clients drop dot segments, and call another path.
    if not url.hostname or url.port == 0 or {".", ".."} & set(url.path.split("/")):
        raise ValueError
    return text


def _list_of(pattern: str) -> Callable[[str], tuple[str, ...]]:
    parse = _matching(pattern)
    return lambda text: tuple(parse(one.strip()) for one in text.split(","))


def connection_parts(text: str) -> dict[str, str]:
    """The parts of a storage connection string by their names in lower case: the SDKs ignore the case."""
    parts = (part.partition("=") for part in text.strip().rstrip(";").split(";"))
    return {name.strip().lower(): value for name, _, value in parts}


def _connection_string(text: str) -> Secret:
    if text.strip().rstrip(";").lower() == "usedevelopmentstorage=true":
        return Secret(_DEVELOPMENT_STORAGE)
    parts = connection_parts(text)
    # What the SDKs of tables and queues need; they say so at the first request only.
    b64decode(parts.get("accountkey", ""), validate=True)
    endpoints = [parts.get(name, "") for name in ("tableendpoint", "queueendpoint")]
    has_secret = parts.get("accountkey") or parts.get("sharedaccesssignature")
    is_whole = parts.get("accountname") or all(endpoints)
    if not has_secret or not is_whole or not all(re.match("https?://", one) for one in endpoints if one):
        raise ValueError
    return Secret(text)


def _signing_secret(text: str) -> Secret:
    if len(text) < SHORTEST_SIGNING_SECRET:
        raise ValueError
    return _secret(text)


def _policy(default: str, what: str) -> Any:  # noqa: ANN401 - what dataclasses.field returns.
    return _setting(Policy.parse, f"limits such as `5/10m, 20/d`, or `off`; {what}", Policy.parse(default))


def _overrides(text: str) -> tuple[Override, ...]:
    overrides = tuple(Override.parse(one) for one in text.split(";"))
    if len({(one.caller, one.limit) for one in overrides}) != len(overrides):
        raise ValueError
    return overrides


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The app settings. The name of a setting is that of its field in capitals, unless another one is given.

    The text about a setting is part of its error message, and of its documentation.
    """

    face_region: str | None = _setting(
        "|".join(REGION_NAMES), "the region of the Face resource, one of the 32 such as `westeurope`"
    )
    face_endpoint: str | None = _setting(
        custom_endpoint,
        "`https://NAME.cognitiveservices.azure.com`; plain http only to loopback",
    )
    face_api_version: str = _setting(
        "|".join(map(re.escape, API_VERSIONS)),
        "`v1.1-preview.1`, `v1.2` or `v1.3-preview.1`",
        "v1.1-preview.1",
    )
    face_auth: str = _setting(
        "key|identity", "`key` (from Key Vault) or `identity` (Entra token; custom subdomain only)", "key"
    )
    face_key: Secret | None = _setting(
        _secret, "the Face key, for local runs only: printable ASCII without blanks"
    )
    face_max_tps: float = _setting(
        _number_within(0.1, 1000, float),
        "the most calls a second from one instance to Face, 0.1 to 1000",
        6.0,
    )
    key_vault_url: str | None = _setting(
        r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?/?",
        "the vault with the secrets, such as `https://NAME.vault.azure.net`",
    )
    face_key_secret: str = _setting(_SECRET_NAME, "the name of the secret with the Face key", "face-key")
    pepper_secret: str = _setting(
        _SECRET_NAME,
        "the name of the secret with the pepper, the key for hashing ids; with several while it is rotated",
        "id-pepper",
    )
    id_pepper: Secret | None = _setting(
        _peppers,
        "the pepper, for local runs only: printable ASCII without blanks; several with commas between them",
    )
    azure_client_id: str | None = _setting(
        _GUID, "the client id (a GUID) of the app's user-assigned identity"
    )

    auth_token_ttl_max_seconds: int = _setting(
        _number_within(60, 86_400), "the longest token lifetime a phone may ask for, 60 to 86400 s", 86_400
    )
    result_visibility: str = _setting(
        "decision|status", "`decision`, or `status` to hide decisions from phones", "decision"
    )
    require_digest: bool = _setting(
        _boolean,
        "`true` if a check passes only with the digest that the phone's SDK computed, or `false`; counts for sessions "
        "created from then on",
        False,
    )
    abuse_is_failure: bool = _setting(
        _boolean,
        "`true` if no check passes in which Face detected abuse (`v1.3-preview.1`), or `false`; counts for sessions "
        "created from then on",
        True,
    )
    allow_results_to_client: bool = _setting(
        _boolean,
        "`true` if phones may ask Face for the decision itself (`sendResultsToClient`), or `false`",
        False,
    )
    record_retention_days: int = _setting(
        _number_within(2, 3650), "days that session records are kept, 2 to 3650", 30
    )
    broker_region: str | None = _setting(
        "[a-z0-9-]{1,32}", "the region's name in events; `FACE_REGION` if not set"
    )
    event_grid_topic_endpoint: str | None = _setting(
        rf"https://[a-z0-9.-]+\.({_EVENTS})/api/events",
        "the topic that takes events, `https://NAME.REGION-1.eventgrid.azure.net/api/events`",
    )
    events_file: str | None = _setting(
        str, "a file that takes events, one JSON line each; for local runs only"
    )
    delete_after_result: bool = _setting(
        _boolean, "`true` to delete the session at Face after its event was published, or `false`", True
    )
    allowed_origins: tuple[str, ...] = _setting(
        _list_of(_ORIGIN),
        "the origins of web pages that may call the service, such as `https://app.example.com`, with commas between",
        (),
    )
    public_base_url: str | None = _setting(
        _base_url,
        "the URL of this region for phones, up to `/api`: `https://weu.example.com`, or "
        "`https://api.example.com/liveness` behind a gateway that takes its own prefix off",
    )

    throttle_device: Policy = _policy("5/10m, 20/d", "sessions per device")
    throttle_failures: Policy = _policy(
        "5/30m", "failed checks per device, and per signed-in caller, before it gets no more sessions"
    )
    throttle_principal: Policy = _policy(
        "10/10m", "sessions per signed-in caller; unused while CLIENT_AUTH is `none`"
    )
    throttle_reference: Policy = _policy(
        "5/d", "sessions per transaction (`clientReference`), with CLIENT_AUTH=jwt only"
    )
    throttle_client: Policy = _policy("60/10m", "sessions per client address")
    throttle_misses: Policy = _policy(
        "60/10m",
        "requests with an unknown session or a wrong token, per signed-in caller, or else client address",
    )
    throttle_result: Policy = _policy(
        "1/s", "upstream reads of the result per session; fewer while nobody started it"
    )
    throttle_overrides: tuple[Override, ...] = _setting(
        _overrides,
        "other limits for the callers of a client id or an issuer, with semicolons between: "
        "`CLIENT-ID principal 600/10m; https://issuer.example client off`; "
        "`principal`, `device` and `client` stand for THROTTLE_PRINCIPAL, THROTTLE_DEVICE and THROTTLE_CLIENT",
        (),
    )
    throttle_mode: str = _setting(
        "enforce|observe", "`enforce`, or `observe`: limits count and log, and refuse nothing", "enforce"
    )
    client_address: str = _setting(
        "none|appservice|frontdoor",
        "`none`, `appservice` or `frontdoor`: the service whose header has the client's address",
        "none",
    )
    front_door_id: str | None = _setting(_GUID, "the id (a GUID) of the operator's own Front Door")
    client_auth: str | None = _setting(
        "none|jwt",
        "`jwt` (callers sign in with bearer tokens) or `none` (anybody may call); required in Azure",
    )
    auth_issuer: tuple[str, ...] = _setting(
        _list_of(_ISSUER),
        "the OpenID Connect issuers whose tokens are accepted, exactly as in `iss`, comma-separated: "
        "`https://login.microsoftonline.com/TENANT-ID/v2.0`; plain http only to loopback",
        (),
    )
    auth_audience: tuple[str, ...] = _setting(
        _list_of("[!-~]{1,255}"),
        "the `aud` that a token must have, or several, comma-separated: `api://liveness`",
        (),
    )
    auth_secret_name: str | None = _setting(
        _SECRET_NAME,
        "the name of a secret with which a backend signs HS256 tokens; also their `iss`",
    )
    auth_secret: Secret | None = _setting(
        _signing_secret,
        "the secret of that name, for local runs only: at least 32 printable ASCII characters without blanks",
    )
    client_reference: str | None = _setting(
        "token|caller",
        "who names the transaction of a check: `token` (access tokens, and servers) or `caller` (any caller); "
        "`token` if not set and CLIENT_AUTH is `jwt`, else `caller`",
    )

    # The Functions host's own names for its storage account, which the app uses too.
    storage_account: str | None = _setting(
        "[a-z0-9]{3,24}",
        "the name of the app's storage account in the public cloud, reached with the app's identity",
        name="AzureWebJobsStorage__accountName",
    )
    storage_tables: str | None = _setting(
        rf"https://[a-z0-9]{{3,24}}\.table\.({_STORAGE})/?",
        "the tables of the app's storage account in any cloud, in place of its name: "
        "`https://NAME.table.core.windows.net`; its cloud is that of all services",
        name="AzureWebJobsStorage__tableServiceUri",
    )
    storage_connection: Secret | None = _setting(
        _connection_string,
        "a storage connection string with account and key, or `UseDevelopmentStorage=true`; "
        "for local runs (Azurite) only",
        name="AzureWebJobsStorage",
    )
    website_site_name: str | None = _setting(str, "set by the platform: the app's name")
    website_hostname: str | None = _setting(str, "set by the platform: the app's host name")

    @classmethod
    def from_environment(cls) -> Self:
        """Read the process's environment; raises `SettingsError`."""
        return cls.from_mapping(os.environ)

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """Read settings by their names; an empty one counts as absent. Raises `SettingsError`."""
        values, wrong = {}, []
        for setting in SETTINGS:
            if text := environment.get(setting.name):
                try:
                    values[setting.field] = setting.parse(text)
                except ValueError:
                    wrong.append(setting.refusal)
        if wrong:
            raise SettingsError(wrong)
        settings = cls(**values)
        if conflicts := list(_conflicts(settings)):
            raise SettingsError(conflicts)
        return settings

    @property
    def in_azure(self) -> bool:
        """Whether the app runs in Azure."""
        return self.website_site_name is not None

    @property
    def face_url(self) -> str:
        """The base URL of Face, without a path."""
        return self.face_endpoint or f"https://{self.face_region}.api.cognitive.microsoft.com"

    @property
    def tables_url(self) -> str | None:
        """The tables of the storage account in Azure."""
        if self.storage_account:
            return f"https://{self.storage_account}.table.{PUBLIC.storage}"
        return self.storage_tables and self.storage_tables.removesuffix("/")

    @property
    def cloud(self) -> Cloud:
        """The cloud of Azure that all services are in."""
        return cloud_of(self.tables_url)

    @cached_property
    def reference_needs_token(self) -> bool:
        """Whether a transaction has to be named by the access token, or by a server."""
        return (self.client_reference or ("token" if self.client_auth == "jwt" else "caller")) == "token"

    @cached_property
    def region(self) -> str:
        """The name of the region in events."""
        return self.broker_region or self.face_region or "local"

    @cached_property
    def base_url(self) -> str | None:
        """The URL that phones reach this app at, or None where only a request tells it."""
        if self.public_base_url or not self.website_hostname:
            return self.public_base_url
        return f"https://{self.website_hostname}" if self.in_azure else None


@immutable
class Setting:
    """One app setting: its name in the environment, its field in `Settings`, and the values that it may have."""

    name: str
    field: str
    parse: Callable[[str], Any]
    expected: str
    default: object

    @property
    def refusal(self) -> str:
        """The error for a bad value, without the value."""
        return f"{self.name}: expected {self.expected}"


SETTINGS: tuple[Setting, ...] = tuple(
    Setting(
        entry.metadata["name"] or entry.name.upper(),
        entry.name,
        entry.metadata["parse"],
        entry.metadata["expected"],
        entry.default,
    )
    for entry in fields(Settings)
)


_SETTING_OF = {setting.field: setting for setting in SETTINGS}


def _conflicts(settings: Settings) -> Iterator[str]:
    """One line for each setting that does not go with the others."""
    yield from _endpoint_conflicts(settings)
    if settings.in_azure:
        yield from _azure_conflicts(settings)
    needs_key = settings.in_azure or settings.face_auth == "key"
    if needs_key and settings.key_vault_url is None and settings.face_key is None:
        yield _SETTING_OF["key_vault_url"].refusal
    if settings.storage_connection and settings.key_vault_url is None and settings.id_pepper is None:
        yield "ID_PEPPER: expected with a store that outlives the process, or KEY_VAULT_URL"
    yield from _auth_conflicts(settings)
    if settings.client_address == "frontdoor" and settings.front_door_id is None:
        yield _SETTING_OF["front_door_id"].refusal


def _endpoint_conflicts(settings: Settings) -> Iterator[str]:
    if (settings.face_region is None) == (settings.face_endpoint is None):
        yield "FACE_REGION: expected either this or FACE_ENDPOINT"
    elif settings.face_auth == "identity" and settings.face_region:
        # "Regional endpoints do not support Microsoft Entra authentication":
        # https://learn.microsoft.com/azure/ai-services/authentication
        yield "FACE_AUTH: expected `key`; `identity` needs a custom subdomain in FACE_ENDPOINT"


def _auth_conflicts(settings: Settings) -> Iterator[str]:
    sources = settings.auth_issuer or settings.auth_secret_name
    if settings.client_auth == "jwt":
        if not sources:
            yield "AUTH_ISSUER: expected with CLIENT_AUTH=jwt, or AUTH_SECRET_NAME"
        if not settings.auth_audience:
            yield f"{_SETTING_OF['auth_audience'].refusal}; required with CLIENT_AUTH=jwt"
    if settings.auth_secret and not settings.auth_secret_name:
        yield "AUTH_SECRET_NAME: expected with AUTH_SECRET"
    if settings.auth_secret_name and not (settings.auth_secret or settings.key_vault_url):
        yield "AUTH_SECRET: expected with AUTH_SECRET_NAME, or KEY_VAULT_URL"
    if settings.auth_secret_name in (settings.pepper_secret, settings.face_key_secret):
        # A backend knows the secret that it signs with.
        yield "AUTH_SECRET_NAME: expected another secret than those of PEPPER_SECRET and FACE_KEY_SECRET"
    # Somebody who names an issuer believes that callers have to sign in.
    if sources and settings.client_auth is None and not settings.in_azure:
        yield "CLIENT_AUTH: expected `jwt` with AUTH_ISSUER or AUTH_SECRET_NAME, or `none`"


def _azure_conflicts(settings: Settings) -> Iterator[str]:
    for name in ("face_key", "id_pepper", "auth_secret", "storage_connection", "events_file"):
        if getattr(settings, name) is not None:
            yield f"{_SETTING_OF[name].name}: expected to be absent in Azure, where no secret is an app setting"
    if (settings.storage_account is None) == (settings.storage_tables is None):
        yield f"{_SETTING_OF['storage_tables'].refusal}: memory does not outlive an instance"
    for name in ("face_endpoint", "key_vault_url", "event_grid_topic_endpoint"):
        if (url := getattr(settings, name)) and not settings.cloud.has(url):
            yield f"{_SETTING_OF[name].name}: expected an endpoint of Azure, in the cloud of the storage account"
    if settings.face_region and settings.cloud is not PUBLIC:
        yield "FACE_REGION: expected in the public cloud alone; set FACE_ENDPOINT in other clouds"
    if settings.event_grid_topic_endpoint is None:
        yield _SETTING_OF["event_grid_topic_endpoint"].refusal
    if any(issuer.startswith("http:") for issuer in settings.auth_issuer):
        yield "AUTH_ISSUER: expected https where the app runs in Azure"
    if settings.client_auth is None:
        yield _SETTING_OF["client_auth"].refusal
