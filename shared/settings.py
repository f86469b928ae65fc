"""The settings: the only reader of the environment."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.errors import SettingsError
from shared.face.endpoint import Endpoint, custom_endpoint, regional_endpoint
from shared.keys.secret import Secret
from shared.throttle.policy import Policy
from shared.web.client_address import AddressSource

_LIMITS = "limits such as `5/10m, 20/d`, or `off`"
# The Functions host's own names for its storage, which is the app's as well.
_PLATFORM_NAMES = {
    "storage_account": "AzureWebJobsStorage__accountName",
    "storage_connection": "AzureWebJobsStorage",
}
_AZURE_DOMAINS = (".cognitiveservices.azure.com", ".api.cognitive.microsoft.com")
_SECRET_NAME = r"[0-9A-Za-z-]{1,127}"  # noqa: S105 - the pattern of a name.


def _matching(pattern: str) -> BeforeValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return BeforeValidator(check)


def _policy(default: str, what: str) -> Any:  # noqa: ANN401 - what pydantic's Field returns.
    return Field(default=Policy.parse(default), description=f"{_LIMITS}; {what}")


_Policy = Annotated[Policy, BeforeValidator(Policy.parse)]
_Secret = Annotated[Secret, BeforeValidator(Secret)]


class Settings(BaseModel):
    """How this app is set up; field names in capitals are the names of the app settings.

    Each description says what a setting is expected to be: it is the text of the error, and of the documentation.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        validate_default=False,
    )

    face_region: str | None = Field(
        None, description="the region of the Face resource, one of the 32 such as `westeurope`"
    )
    face_endpoint: str | None = Field(
        None, description="`https://NAME.cognitiveservices.azure.com`; plain http only to loopback"
    )
    face_api_version: Literal["v1.1-preview.1", "v1.2", "v1.3-preview.1"] = Field(
        "v1.1-preview.1", description="`v1.1-preview.1`, `v1.2` or `v1.3-preview.1`"
    )
    face_auth: Literal["key", "identity"] = Field(
        "key", description="`key` (from Key Vault) or `identity` (Entra token; custom subdomain only)"
    )
    face_key: _Secret | None = Field(None, description="the Face key, for local runs only")
    face_max_tps: float = Field(
        10, ge=0.1, le=1000, description="calls a second that this instance may make to Face, 0.1 to 1000"
    )
    key_vault_url: Annotated[str, _matching(r"https://[a-z0-9.-]+(:[0-9]{1,5})?/?")] | None = Field(
        None, description="the vault with the secrets, such as `https://NAME.vault.azure.net`"
    )
    face_key_secret: Annotated[str, _matching(_SECRET_NAME)] = Field(
        "face-key", description="the name of the secret with the Face key"
    )
    pepper_secret: Annotated[str, _matching(_SECRET_NAME)] = Field(
        "id-pepper", description="the name of the secret that ids are hashed with"
    )
    id_pepper: _Secret | None = Field(None, description="what ids are hashed with, for local runs only")
    azure_client_id: Annotated[str, _matching("[0-9A-Fa-f-]{36}")] | None = Field(
        None, description="the client id (a GUID) of the app's user-assigned identity"
    )

    auth_token_ttl_max_seconds: int = Field(
        86_400, ge=60, le=86_400, description="the longest token lifetime a phone may ask for, 60 to 86400 s"
    )
    result_visibility: Literal["decision", "status"] = Field(
        "decision", description="`decision`, or `status` to keep decisions from phones"
    )
    record_retention_days: int = Field(
        30, ge=2, le=3650, description="days that session records are kept, 2 to 3650"
    )
    public_base_url: Annotated[str, _matching(r"https?://[A-Za-z0-9.:\[\]-]+")] | None = Field(
        None, description="the URL that phones reach this region at, without a path"
    )

    throttle_device: _Policy = _policy("5/10m, 20/d", "sessions per device")
    throttle_principal: _Policy = _policy("10/10m", "sessions per authenticated caller")
    throttle_client: _Policy = _policy("60/10m", "sessions and failed look-ups per client address")
    throttle_result: _Policy = _policy("1/s", "upstream reads of the result per session")
    client_address: AddressSource = Field(
        AddressSource.NONE,
        description="`none`, `appservice` or `frontdoor`: whose word for the client's address counts",
    )
    front_door_id: Annotated[str, _matching("[0-9A-Fa-f-]{36}")] | None = Field(
        None, description="the id (a GUID) of the operator's own Front Door"
    )
    client_auth: Literal["none"] | None = Field(
        None, description="`none` (callers are not authenticated); in Azure it has to be said"
    )

    storage_account: Annotated[str, _matching("[a-z0-9]{3,24}")] | None = Field(
        None, description="the name of the app's storage account, reached with the app's identity"
    )
    storage_connection: str | None = Field(
        None, description="a storage connection string, for local runs (Azurite) only", repr=False
    )

    website_site_name: str | None = Field(None, description="set by the platform: the app's name")
    website_hostname: str | None = Field(None, description="set by the platform: the app's host name")

    @classmethod
    def from_environment(cls) -> Self:
        """Read the process's environment; raises `SettingsError`."""
        return cls.from_mapping(os.environ)

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """Read settings by their names in capitals; an empty one counts as not set. Raises `SettingsError`."""
        given = {name: environment.get(setting_name(name), "") for name in cls.model_fields}
        try:
            settings = cls.model_validate({name: text for name, text in given.items() if text})
        except ValidationError as error:
            wrong = sorted({str(problem["loc"][0]) for problem in error.errors(include_input=False)})
            raise SettingsError([_expected(name) for name in wrong]) from None
        if conflicts := [line for rule in _RULES if (line := rule(settings))]:
            raise SettingsError(conflicts)
        return settings

    @property
    def in_azure(self) -> bool:
        """Whether the app runs on the platform rather than on somebody's machine."""
        return self.website_site_name is not None

    @property
    def endpoint(self) -> Endpoint:
        """Where Face is called."""
        return _endpoint(self)

    @property
    def base_url(self) -> str | None:
        """What phones reach this app at, if that is known before a request comes."""
        if self.public_base_url or not self.website_hostname:
            return self.public_base_url
        return f"https://{self.website_hostname}" if self.in_azure else None


def setting_name(field: str) -> str:
    """The app setting that a field is read from."""
    return _PLATFORM_NAMES.get(field, field.upper())


def _expected(name: str) -> str:
    return f"{setting_name(name)}: expected {Settings.model_fields[name].description}"


def _endpoint(settings: Settings) -> Endpoint:
    if settings.face_endpoint:
        return custom_endpoint(settings.face_endpoint)
    return regional_endpoint(settings.face_region or "")


def _one_endpoint(settings: Settings) -> str | None:
    if (settings.face_region is None) == (settings.face_endpoint is None):
        return "FACE_REGION: expected either this or FACE_ENDPOINT"
    try:
        endpoint = _endpoint(settings)
    except ValueError:
        return _expected("face_endpoint" if settings.face_endpoint else "face_region")
    if settings.in_azure and not endpoint.base_url.endswith(_AZURE_DOMAINS):
        return "FACE_ENDPOINT: expected an endpoint of Azure where the app runs in Azure"
    if settings.face_auth == "identity" and not endpoint.takes_entra_tokens:
        return "FACE_AUTH: expected `key`; `identity` needs a custom subdomain in FACE_ENDPOINT"
    return None


def _no_local_secrets_in_azure(settings: Settings) -> str | None:
    for name in ("face_key", "id_pepper", "storage_connection"):
        if settings.in_azure and getattr(settings, name) is not None:
            return f"{setting_name(name)}: expected to be absent in Azure, where no secret is an app setting"
    return None


def _a_store(settings: Settings) -> str | None:
    if settings.in_azure and settings.storage_account is None:
        return f"{_expected('storage_account')}: memory does not outlive an instance"
    return None


def _a_pepper(settings: Settings) -> str | None:
    if settings.storage_connection and settings.key_vault_url is None and settings.id_pepper is None:
        return "ID_PEPPER: expected with a store that outlives the process, or KEY_VAULT_URL"
    return None


def _a_key(settings: Settings) -> str | None:
    if (
        settings.key_vault_url is None
        and (settings.in_azure or settings.face_auth == "key")
        and not settings.face_key
    ):
        return _expected("key_vault_url")
    return None


def _said_who_may_call(settings: Settings) -> str | None:
    if settings.in_azure and settings.client_auth is None:
        return "CLIENT_AUTH: expected `none` to be said where callers are not to be authenticated"
    return None


def _front_door(settings: Settings) -> str | None:
    if settings.client_address is AddressSource.FRONT_DOOR and settings.front_door_id is None:
        return _expected("front_door_id")
    return None


_RULES: tuple[Callable[[Settings], str | None], ...] = (
    _one_endpoint,
    _no_local_secrets_in_azure,
    _a_key,
    _a_store,
    _a_pepper,
    _said_who_may_call,
    _front_door,
)
