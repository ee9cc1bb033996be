"""`sagactl keys`: the keys that access tokens are signed with; the next one begun, a stolen one revoked.

As `sagactl accounts` it asks the auth service through the gateway, as an administrator.
"""

import json
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from sagactl.oncall.administrator import ask
from sagactl.screen import plural, printable
from sagactl.terminal import AsJson, Stack, console

PATH: Final = "/auth/keys"
HEADINGS: Final = ("key", "does", "since", "revoked", "kid")
Key = Annotated[str, typer.Argument(help="Its number.", metavar="KEY")]
app = typer.Typer(no_args_is_help=True, help="Signing keys of access tokens.")


@app.command("list")
def list_(stack: Stack = None, as_json: AsJson = False) -> None:  # noqa: FBT002  # an option
    """Show every signing key: the next one, the one that signs, those that still verify, those revoked."""
    found = ask(stack, lambda admin: admin.call("GET", PATH))["items"]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        console.print(_table(found))


@app.command()
def rotate(stack: Stack = None) -> None:
    """Begin the next signing key, which signs in ten minutes, when all services know it."""
    console.print(_table([ask(stack, lambda admin: admin.call("POST", PATH))]))


@app.command()
def revoke(key: Key, stack: Stack = None) -> None:
    """Let a key that may be stolen sign and verify no more. Its tokens are refused within two minutes.

    By services that cannot reach the auth service, or whose auth service cannot reach its database: within
    half an hour. Clients go on with their refresh tokens.
    """
    ask(stack, lambda admin: admin.call("POST", f"{PATH}/{key}/revoke"))
    console.print(f"key {printable(key)} is revoked: within two minutes no service takes its tokens")


def _table(keys: list[dict[str, Any]]) -> Table:
    table = Table(title=plural(len(keys), "key"))
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for each in keys:
        revoked = (each["revokedAt"] or "")[:16]
        table.add_row(
            *map(printable, (each["keyId"], each["turn"], each["createdAt"][:16], revoked, each["kid"]))
        )
    return table
