"""`sagactl accounts`: who has a role; roles given and taken, accounts disabled, logins ended.

It asks the auth service through the gateway, as an administrator: GATEWAY_URL, ADMIN_EMAIL, ADMIN_PASSWORD,
and ADMIN_CODE where that account has a second factor.
"""

import json
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.table import Table

from sagactl.oncall.administrator import ask
from sagactl.oncall.screen import plural, printable
from sagactl.shop import Client, Json
from sagactl.terminal import AsJson, Stack, console

PATH: Final = "/auth/accounts"
HEADINGS: Final = ("e-mail", "name", "roles", "second factor", "state", "since")
Email = Annotated[str, typer.Argument(help="Of the account.", metavar="EMAIL")]
Role = Annotated[str, typer.Argument(help="admin, support or viewer.", metavar="ROLE")]
app = typer.Typer(no_args_is_help=True, help="Accounts: the shop's own people, and any by its address.")


@app.command("list")
def list_(
    email: Annotated[str | None, typer.Argument(help="Only this account, a customer's too.")] = None,
    stack: Stack = None,
    as_json: AsJson = False,  # noqa: FBT002  # an option
) -> None:
    """Show every account that has a role, or the one with an address."""
    found = ask(stack, lambda admin: _accounts(admin, email))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        console.print(_table(found))


@app.command()
def disable(email: Email, stack: Stack = None) -> None:
    """Log an account out everywhere, and let it log in no more."""
    _change(stack, email, disabled=True)


@app.command()
def enable(email: Email, stack: Stack = None) -> None:
    """Let a disabled account log in again."""
    _change(stack, email, disabled=False)


@app.command()
def promote(email: Email, role: Role, stack: Stack = None) -> None:
    """Give an account a role, in place of any that it has."""
    _change(stack, email, roles=[role])


@app.command()
def demote(email: Email, stack: Stack = None) -> None:
    """Take all roles from an account, and log it out everywhere."""
    _change(stack, email, roles=[])


@app.command("log-out")
def log_out(email: Email, stack: Stack = None) -> None:
    """End all logins of an account. Its access tokens are good until they expire: at most 15 minutes."""

    async def end(admin: Client) -> None:
        account = await account_of(admin, email)
        await admin.call("POST", f"{PATH}/{account['userId']}/logout")

    ask(stack, end)
    console.print(f"{printable(email)} is logged out everywhere", highlight=False)


@app.command("totp-reset")
def totp_reset(email: Email, stack: Stack = None) -> None:
    """Take the second factor from an account whose owner lost it, and log it out everywhere."""

    async def reset(admin: Client) -> None:
        account = await account_of(admin, email)
        await admin.call("DELETE", f"{PATH}/{account['userId']}/totp")

    ask(stack, reset)
    console.print(f"{printable(email)} logs in by its password alone now", highlight=False)


def _change(stack: Stack, email: str, **change: object) -> None:
    async def changed(admin: Client) -> Json:
        account = await account_of(admin, email)
        return await admin.call("PATCH", f"{PATH}/{account['userId']}", change)

    console.print(_table([ask(stack, changed)]))


async def _accounts(admin: Client, email: str | None) -> list[Json]:
    query = "" if email is None else f"?email={quote(email, safe='')}"
    return list((await admin.call("GET", PATH + query))["items"])


async def account_of(admin: Client, email: str) -> Json:
    """Raises BadParameter where there is none."""
    found = await _accounts(admin, email)
    if not found:
        raise typer.BadParameter(f"there is no account with the address {email}")
    return found[0]


def _table(accounts: list[dict[str, Any]]) -> Table:
    table = Table(title=plural(len(accounts), "account"))
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for each in accounts:
        state = "disabled" if each["disabled"] else "enabled"
        factor = "yes" if each["totp"] else "no"
        row = (each["email"], each["name"], ", ".join(each["roles"]), factor, state, each["createdAt"][:10])
        table.add_row(*map(printable, row))
    return table
