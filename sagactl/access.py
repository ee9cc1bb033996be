"""Where a shop is and how the tools are let in.

The environment, mounted Secrets or a local stack's `stack.json` say so.
"""

import json
import os
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from sagactl import kept_login
from sagactl.kept_login import KeptLogin, NotKeptError
from services.shared.urls import with_password

SECRETS_DIR: Final = "SECRETS_DIR"
LOCAL_STACK: Final = Path(".run")
GATEWAY_LOGIN: Final = ("GATEWAY_URL", "ADMIN_EMAIL", "ADMIN_PASSWORD")
# Of that account's second factor, where it has one.
CODE: Final = "ADMIN_CODE"
# Each with the password of the user in it, which may be kept apart.
URLS: Final = {
    "MONGODB_URL": "MONGODB_PASSWORD",
    "AMQP_URL": "AMQP_PASSWORD",
    "MANAGEMENT_URL": "AMQP_PASSWORD",
}


class NoAccessError(ValueError):
    """Nobody said where the shop is, or how to be let in. The text says what to give."""


def setting(name: str) -> str | None:
    """From the environment, or from the file of that name in SECRETS_DIR, where a mounted Secret is."""
    if os.environ.get(name):
        return os.environ[name]
    directory = os.environ.get(SECRETS_DIR)
    path = Path(directory, name) if directory else None
    return path.read_text().strip() if path is not None and path.exists() else None


def required(name: str) -> str:
    """A setting. Raises NoAccessError where there is none."""
    found = setting(name)
    if not found:
        raise NoAccessError(f"set {name}, as a variable or as a file in SECRETS_DIR")
    return found


def _url(name: str) -> str | None:
    """One of URLS, with its password. Raises NoAccessError where the two do not fit."""
    url, password = setting(name), setting(URLS[name])
    try:
        return url and with_password(url, password or "")
    except ValueError as error:
        raise NoAccessError(f"{name}: {error}") from None


def _stack(directory: Path) -> Any:  # noqa: ANN401  # JSON
    """What a local stack says of itself. Raises NoAccessError where none was started."""
    file = directory / "stack.json"
    if not file.exists():
        raise NoAccessError(f"no stack runs in {directory}: start one (make up)")
    return json.loads(file.read_text())


@dataclass(frozen=True)
class Access:
    """The servers behind the services, with a user of the tools'."""

    mongodb_url: str = field(repr=False)
    amqp_url: str = field(repr=False)
    management_url: str = field(repr=False)
    # Of a stack on this machine, and not in a cluster.
    is_local: bool = field(default=False, kw_only=True)

    @classmethod
    def of_stack(cls, directory: Path) -> Self:
        """Raises NoAccessError where none was started."""
        checker = _stack(directory)["checker"]
        return cls(checker["mongodbUrl"], checker["amqpUrl"], checker["managementUrl"], is_local=True)

    @classmethod
    def found(cls, stack: Path | None = None) -> Self:
        """Of the stack that is named, by the settings, or of the stack here. Raises NoAccessError."""
        urls = {name: _url(name) for name in URLS}
        mongodb, amqp, management = urls.values()
        if stack is None and mongodb and amqp and management:
            return cls(mongodb, amqp, management)
        missing = ", ".join(name for name, url in urls.items() if not url)
        try:
            return cls.of_stack(stack or LOCAL_STACK)
        except NoAccessError as error:
            raise NoAccessError(f"{error}, or set {missing}" if missing else str(error)) from None


class Source(StrEnum):
    """Who says who is asking."""

    # `sagactl login`.
    LOGIN = "login"
    # Variables, or files in SECRETS_DIR.
    SETTINGS = "settings"
    # The stack.json of a stack on this machine.
    STACK = "stack"


@dataclass(frozen=True)
class OrderAccess:
    """The order service, with an administrator's token, or a login at the gateway that gives one.

    Which shop it is, says the stack that is named, the settings, the stack here, or the login that is kept.
    Who asks there: a login that is kept of that gateway, before any password.
    """

    order_url: str
    token: str | None = field(default=None, repr=False)
    gateway: str = ""
    email: str = ""
    password: str = field(default="", repr=False)
    # Of the account's second factor; empty where none was given.
    code: str = field(default_factory=lambda: setting(CODE) or "", repr=False)
    # In place of the password.
    kept: KeptLogin | None = field(default=None, compare=False)
    source: Source = field(default=Source.SETTINGS, compare=False)

    @classmethod
    def of_stack(cls, directory: Path) -> Self:
        """Raises NoAccessError where none was started."""
        stack = _stack(directory)
        admin, order, gateway = stack["admin"], stack["services"]["order"], stack["gateway"]
        if (login := _login_at(gateway)) is not None:
            return replace(cls.of_login(login), order_url=order)
        return cls(order, None, gateway, admin["email"], admin["password"], source=Source.STACK)

    @classmethod
    def found(cls, stack: Path | None) -> Self:
        """Raises NoAccessError."""
        url, token = setting("ORDER_URL"), setting("ORDER_TOKEN")
        if stack is None and url:
            if token:
                return cls(url, token)
            at_the_gateway = cls._by_settings() or cls._by_login()
            if at_the_gateway is not None:
                return replace(at_the_gateway, order_url=url)
        try:
            return cls.of_stack(stack or LOCAL_STACK)
        except NoAccessError as error:
            login = f"ORDER_TOKEN or {', '.join(GATEWAY_LOGIN)}"
            raise NoAccessError(f"{error}, or set ORDER_URL, and {login}, or sagactl login") from None

    @classmethod
    def at_the_gateway(cls, stack: Path | None) -> Self:
        """Raises NoAccessError."""
        if stack is None and (by_settings := cls._by_settings()) is not None:
            return by_settings
        try:
            return cls.of_stack(stack or LOCAL_STACK)
        except NoAccessError as error:
            by_login = cls._by_login() if stack is None else None
            if by_login is not None:
                return by_login
            raise NoAccessError(f"{error}, or set {', '.join(GATEWAY_LOGIN)}, or sagactl login") from None

    @classmethod
    def _by_settings(cls) -> Self | None:
        """None where they name no gateway, or do not say who asks there. Raises NoAccessError."""
        gateway, email, password = map(setting, GATEWAY_LOGIN)
        if not gateway:
            return None
        if (login := _login_at(gateway)) is not None:
            return cls.of_login(login)
        return cls("", None, gateway.rstrip("/"), email, password) if email and password else None

    @classmethod
    def _by_login(cls) -> Self | None:
        """Of the shop of the login that is kept, where the settings name no other. Raises NoAccessError."""
        login = None if setting("GATEWAY_URL") else _login()
        return None if login is None else cls.of_login(login)

    @classmethod
    def of_login(cls, login: KeptLogin) -> Self:
        return cls("", None, login.gateway, login.email, kept=login, source=Source.LOGIN)


def _login() -> KeptLogin | None:
    """Raises NoAccessError."""
    try:
        return kept_login.kept()
    except NotKeptError as error:
        raise NoAccessError(str(error)) from error


def _login_at(gateway: str) -> KeptLogin | None:
    """The login that is kept, if it is of this gateway. Raises NoAccessError."""
    login = _login()
    return login if login is not None and login.gateway == gateway.rstrip("/") else None


@dataclass(frozen=True)
class StripeAccess:
    """Stripe, with a key that may read payment intents and refunds. `url` is empty for Stripe's own."""

    key: str = field(repr=False)
    url: str = ""


def stripe() -> StripeAccess | None:
    """By the payment service's own settings; None where another gateway takes the money.

    Raises NoAccessError.
    """
    if setting("PAYMENT_GATEWAY") != "stripe":
        return None
    return StripeAccess(required("STRIPE_API_KEY"), setting("STRIPE_API_URL") or "")


def jaeger_url(stack: Path | None) -> str:
    """Where the traces are: JAEGER_URL says so, or a local stack. Raises NoAccessError."""
    if stack is None and (url := setting("JAEGER_URL")):
        return url.rstrip("/")
    described = _stack(stack or LOCAL_STACK)
    if "jaeger" not in described:
        raise NoAccessError("the stack runs without Jaeger: start it beside (make traces), or set JAEGER_URL")
    return str(described["jaeger"])
