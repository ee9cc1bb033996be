"""What goes in and out of the auth service over HTTP."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel

from services.auth import domain
from services.shared import emails


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class _View(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


Email = Annotated[str, Field(max_length=320), AfterValidator(emails.parse)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Text = Annotated[str, Field(min_length=1, max_length=256)]


class Registration(_Body):
    email: Email
    password: SecretStr
    name: Name

    @field_validator("password")
    @classmethod
    def _is_good(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        domain.check_password(password.get_secret_value(), info.data.get("email", ""))
        return password


class Credentials(_Body):
    email: Email
    password: Annotated[SecretStr, Field(max_length=1024)]


class RefreshToken(_Body):
    refresh_token: Text


class Account(_View):
    user_id: str
    email: str
    name: str
    roles: list[str]


class Session(_View):
    access_token: str
    refresh_token: str
    expires_in: Annotated[int, Field(description="Seconds until the access token expires")]
    token_type: str = "Bearer"  # noqa: S105  # the name of a scheme
