"""What goes in and out of the auth service over HTTP."""

from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from services.auth import examples
from services.auth.letters import Kind, State
from services.auth.rotation import Turn
from services.auth.strength import LENGTHS, check_password
from services.shared import emails
from services.shared.http.bodies import Body, View
from services.shared.http.rights import Role


class _Strict(Body):
    model_config = ConfigDict(strict=True)


Email = Annotated[
    str,
    Field(
        max_length=emails.LONGEST_TYPED,
        json_schema_extra={"x-allowed": "an e-mail address such as ada@shop.example"},
    ),
    AfterValidator(emails.parse),
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


def _is_text(secret: SecretStr) -> SecretStr:
    """What pydantic checks of every other text: half of a surrogate pair is none."""
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("a password is made of whole characters: half of a surrogate pair is none") from None
    return secret


Password = Annotated[SecretStr, AfterValidator(_is_text)]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Code = Annotated[
    str,
    Field(
        min_length=1, max_length=64, description="Six digits of the app, or a recovery code. Each works once"
    ),
]

PASSWORD_IN_WORDS = f"a password of {LENGTHS[0]} to {LENGTHS[-1]} characters"

# A password as somebody typed it, right or wrong.
Typed = Annotated[Password, Field(max_length=1024)]


class Registration(_Strict, json_schema_extra={"examples": [examples.REGISTRATION]}):
    email: Email
    password: Annotated[Password, Field(json_schema_extra={"x-allowed": PASSWORD_IN_WORDS})]
    name: Name

    @field_validator("password")
    @classmethod
    def _is_good(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        check_password(password.get_secret_value(), info.data.get("email", ""))
        return password


class Credentials(_Strict, json_schema_extra={"examples": [examples.CREDENTIALS]}):
    email: Email
    password: Typed
    code: Code | None = None
    refresh_token: Annotated[
        Text | None,
        Field(
            description="The latest refresh token of this client, even if it is no longer valid. With it, "
            "wrong passwords that others try do not delay this login"
        ),
    ] = None


class NewPassword(_Strict, json_schema_extra={"examples": [examples.NEW_PASSWORD]}):
    """The rules of the new password depend on the account, so the route checks it."""

    current_password: Typed
    new_password: Typed
    code: Code | None = None


class Address(_Strict, json_schema_extra={"examples": [examples.ADDRESS]}):
    email: Email


class MailToken(_Strict, json_schema_extra={"examples": [examples.MAIL_TOKEN]}):
    token: Text


class PasswordByMail(_Strict, json_schema_extra={"examples": [examples.PASSWORD_BY_MAIL]}):
    """The rules of the new password depend on the account, so the route checks it."""

    token: Text
    new_password: Typed


class PasswordProof(_Strict, json_schema_extra={"examples": [examples.PASSWORD_PROOF]}):
    current_password: Typed


class TotpCode(_Strict, json_schema_extra={"examples": [examples.TOTP_CODE]}):
    code: Code


class TotpProof(_Strict, json_schema_extra={"examples": [examples.TOTP_PROOF]}):
    current_password: Typed
    code: Code


class TotpSecret(View, json_schema_extra={"examples": [examples.TOTP_SECRET]}):
    """The secret and the recovery codes, which are shown only once."""

    otpauth_uri: Annotated[str, Field(description="For the app; usually shown as a QR code")]
    recovery_codes: Annotated[list[str], Field(description="Each works once, if the app is lost")]


class RefreshToken(_Strict, json_schema_extra={"examples": [examples.REFRESH_TOKEN]}):
    refresh_token: Text


class Account(View, json_schema_extra={"examples": [examples.ACCOUNT]}):
    user_id: str
    email: str
    name: str
    roles: list[str]
    verified: Annotated[bool, Field(description="Whether the owner has verified the address")]
    totp: Annotated[bool, Field(description="Whether a login needs a code of an authenticator app")]


class AccountState(Account, json_schema_extra={"examples": [examples.ACCOUNT_STATE]}):
    """An account as administrators see it."""

    disabled: bool
    created_at: datetime


class LoginData(View):
    created_at: datetime
    expires_at: datetime
    revoked: bool


class LetterData(View):
    kind: Kind
    state: State
    locale: str | None
    created_at: datetime
    expires_at: datetime


class AccountData(AccountState, json_schema_extra={"examples": [examples.ACCOUNT_DATA]}):
    """Everything stored about an account, except secrets."""

    tokens_until: Annotated[datetime | None, Field(description="When the last of its access tokens expires")]
    recovery_codes_left: int
    logins: list[LoginData]
    letters: list[LetterData]


class AccountList(View, json_schema_extra={"examples": [examples.ACCOUNT_LIST]}):
    items: list[AccountState]


class AccountChange(Body, json_schema_extra={"examples": [examples.ACCOUNT_CHANGE]}):
    """Fields that are left out stay as they are."""

    disabled: bool | None = None
    roles: frozenset[Role] | None = None


class KeyState(View, json_schema_extra={"examples": [examples.KEY_STATE]}):
    key_id: Annotated[str, Field(description="A number, which increases by one per key")]
    kid: Annotated[str, Field(description="The `kid` of its tokens: the RFC 7638 thumbprint")]
    turn: Annotated[
        Turn, Field(description="`next`: it will sign; `verifying`: tokens that it has signed may be in use")
    ]
    created_at: datetime
    revoked_at: datetime | None


class KeyList(View, json_schema_extra={"examples": [examples.KEY_LIST]}):
    items: list[KeyState]


class Session(View, json_schema_extra={"examples": [examples.SESSION]}):
    access_token: str
    refresh_token: str
    expires_in: Annotated[int, Field(description="Seconds until the access token expires")]
    totp_missing: Annotated[
        bool,
        Field(description="The role `admin` is withheld until there is a second factor (/auth/totp/enrol)"),
    ] = False
    token_type: str = "Bearer"  # noqa: S105  # the name of a scheme
