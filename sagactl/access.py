"""Where a shop is and how the tools are let in.

The environment, mounted Secrets or a local stack's `stack.json` say so.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

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


@dataclass(frozen=True)
class OrderAccess:
    """The order service, with an administrator's token, or a login at the gateway that gives one."""

    order_url: str
    token: str | None = field(default=None, repr=False)
    gateway: str = ""
    email: str = ""
    password: str = field(default="", repr=False)
    # Of the account's second factor; empty where none was given.
    code: str = field(default_factory=lambda: setting(CODE) or "", repr=False)

    @classmethod
    def of_stack(cls, directory: Path) -> Self:
        """Raises NoAccessError where none was started."""
        stack = _stack(directory)
        admin = stack["admin"]
        return cls(stack["services"]["order"], None, stack["gateway"], admin["email"], admin["password"])

    @classmethod
    def found(cls, stack: Path | None) -> Self:
        """Of the stack that is named, by the settings, or of the stack here. Raises NoAccessError."""
        url, token = setting("ORDER_URL"), setting("ORDER_TOKEN")
        gateway, email, password = map(setting, GATEWAY_LOGIN)
        if stack is None and url and (token or (gateway and email and password)):
            return cls(url, token, gateway or "", email or "", password or "")
        try:
            return cls.of_stack(stack or LOCAL_STACK)
        except NoAccessError as error:
            login = f"ORDER_TOKEN or {', '.join(GATEWAY_LOGIN)}"
            raise NoAccessError(f"{error}, or set ORDER_URL, and {login}") from None

    @classmethod
    def at_the_gateway(cls, stack: Path | None) -> Self:
        """A login there: of the stack that is named, by the settings, or of the stack here.

        Raises NoAccessError.
        """
        gateway, email, password = map(setting, GATEWAY_LOGIN)
        if stack is None and gateway and email and password:
            return cls("", None, gateway.rstrip("/"), email, password)
        try:
            return cls.of_stack(stack or LOCAL_STACK)
        except NoAccessError as error:
            raise NoAccessError(f"{error}, or set {', '.join(GATEWAY_LOGIN)}") from None


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
