"""`sagactl keys`: the keys that access tokens are signed with; the next one begun, a stolen one revoked.

As `sagactl accounts` it asks the auth service through the gateway, as an administrator.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Final

import msgspec
import typer
from msgspec import Struct

from sagactl.documents import Document
from sagactl.oncall.administrator import ask
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.screen import printable
from sagactl.shop import Json
from sagactl.terminal import Stack, console

PATH: Final = "/auth/keys"
Key = Annotated[str, typer.Argument(help="The key's number.", metavar="KEY")]


class SigningKey(Struct, frozen=True, rename="camel"):
    key_id: str
    # As tokens name it.
    kid: str
    # What it does: `next`, `signing`, `verifying`, `revoked`.
    turn: str
    created_at: datetime
    revoked_at: datetime | None


class KeyList(Document, frozen=True, kw_only=True):
    items: tuple[SigningKey, ...]


COLUMNS: Final[Sequence[Column[SigningKey]]] = (
    Column("key", lambda each: each.key_id),
    Column("does", lambda each: each.turn),
    Column("since", attrgetter("created_at")),
    Column("revoked", attrgetter("revoked_at")),
    Column("kid", lambda each: each.kid),
)
app = typer.Typer(no_args_is_help=True, help="Signing keys of access tokens.")


@app.command("list")
def list_(stack: Stack = None, output: Form = Output.TABLE) -> None:
    """Show every signing key: the next one, the one that signs, the older ones that still verify, the
    revoked ones.
    """
    found = ask(stack, lambda admin: admin.call("GET", PATH))["items"]
    _show(found, output)


@app.command()
def rotate(stack: Stack = None) -> None:
    """Create the next signing key. It signs after ten minutes, when all services know it."""
    _show([ask(stack, lambda admin: admin.call("POST", PATH))])


@app.command()
def revoke(key: Key, stack: Stack = None) -> None:
    """Revoke a key that may be stolen. Services refuse its tokens within two minutes.

    It takes up to half an hour at services that cannot reach the auth service, or while the auth service
    cannot reach its database. Clients continue with their refresh tokens.
    """
    ask(stack, lambda admin: admin.call("POST", f"{PATH}/{key}/revoke"))
    console.print(f"key {printable(key)} is revoked: all services refuse its tokens within two minutes")


def _show(keys: list[Json], output: Output = Output.TABLE) -> None:
    found = msgspec.convert(keys, tuple[SigningKey, ...])
    names = [each.key_id for each in found]
    show(Shown(KeyList(items=found), table(found, "key", COLUMNS), names, found), output)
