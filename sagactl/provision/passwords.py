"""`sagactl secrets`: every password of a shop and its bundled servers, as one Secret."""

import base64
import json
import secrets
import string
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from sagactl.provision.accounts import DATABASE_USERS
from sagactl.provision.broker_rights import BROKER_USERS
from services.shared import emails
from services.shared.contract.events import ENGINES

# As charts/redis/users.acl has them.
REDIS_USERS: Final = ("admin", "console", "gateway", *ENGINES)
CHARACTERS: Final = string.ascii_letters + string.digits


def _password(length: int = 32) -> str:
    return "".join(secrets.choice(CHARACTERS) for _ in range(length))


def new_passwords(admin_email: str) -> dict[str, str]:
    """Make all of them, by the keys under which the charts look for them."""
    users = {"mongodb": DATABASE_USERS, "rabbitmq": BROKER_USERS, "redis": REDIS_USERS}
    return {
        **{f"{server}-{user}": _password() for server, names in users.items() for user in sorted(set(names))},
        "mongodb-root": _password(),
        "mongodb-keyfile": _password(128),
        "rabbitmq-admin": _password(),
        "rabbitmq-erlang-cookie": _password(40),
        "ADMIN_EMAIL": admin_email,
        "ADMIN_PASSWORD": _password(24),
        "SECRETS_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    }


def manifest(name: str, namespace: str, content: Mapping[str, str]) -> str:
    """Write a Secret as YAML, a line for each key."""
    where = [f"  namespace: {namespace}"] if namespace else []
    lines = ["apiVersion: v1", "kind: Secret", "metadata:", f"  name: {name}", *where, "stringData:"]
    return "\n".join([*lines, *(f"  {key}: {json.dumps(value)}" for key, value in content.items())])


def secrets_command(
    name: Annotated[str, typer.Option(help="Name of the Secret.")] = "shop-passwords",
    namespace: Annotated[
        str, typer.Option(help="Namespace of the Secret. Without it, none is written.")
    ] = "",
    admin_email: Annotated[
        str, typer.Option(help="E-mail address of the first administrator.")
    ] = "admin@shop.example",
) -> None:
    """Print a Secret with new passwords for all bundled servers, as YAML. Reads and changes nothing.

    Use it if the chart must not create the passwords: when the chart is rendered without a cluster (Argo CD,
    helm template), it cannot look up the existing ones. Run it once, and store its output as secrets are
    stored: sealed, encrypted, or in the store from which your cluster fetches Secrets. Then set

    global.secrets: {generate: false, existingSecret: shop-passwords}
    """
    try:
        content = new_passwords(emails.parse(admin_email))
    except ValueError as error:
        raise typer.BadParameter(f"{admin_email}: {error}") from None
    typer.echo(manifest(name, namespace, content))
