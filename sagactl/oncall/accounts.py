"""`sagactl accounts`: who has a role; roles given and taken, accounts disabled, logins ended.

It asks the auth service through the gateway, as an administrator: GATEWAY_URL, ADMIN_EMAIL, ADMIN_PASSWORD,
and ADMIN_CODE where that account has a second factor.
"""

import json
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.table import Table

from sagactl.faults import AbsentError
from sagactl.oncall.administrator import ask
from sagactl.screen import plural, printable
from sagactl.shop import Client, Json
from sagactl.terminal import AsJson, Stack, console

PATH: Final = "/auth/accounts"
HEADINGS: Final = ("e-mail", "verified", "name", "roles", "second factor", "state", "since")
UNVERIFIED: Final = (
    "nobody has shown to read mail to {email}: the account may be of somebody else. Ask for another letter "
    "(POST /auth/verify/resend), or give the role all the same with --yes"
)
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
def promote(
    email: Email,
    role: Role,
    stack: Stack = None,
    yes: Annotated[bool, typer.Option("--yes", help="Though the address is not verified.")] = False,  # noqa: FBT002  # an option
) -> None:
    """Give an account a role, in place of any that it has."""

    async def promoted(admin: Client) -> Json:
        account = await account_of(admin, email)
        if not (account["verified"] or yes):
            raise typer.BadParameter(UNVERIFIED.format(email=email))
        return await _changed(admin, account, roles=[role])

    console.print(_table([ask(stack, promoted)]))


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
        return await _changed(admin, await account_of(admin, email), **change)

    console.print(_table([ask(stack, changed)]))


async def _changed(admin: Client, account: Json, **change: object) -> Json:
    return await admin.call("PATCH", f"{PATH}/{account['userId']}", change)


async def _accounts(admin: Client, email: str | None) -> list[Json]:
    query = "" if email is None else f"?email={quote(email, safe='')}"
    return list((await admin.call("GET", PATH + query))["items"])


async def account_of(admin: Client, email: str) -> Json:
    """Raises AbsentError where there is none."""
    found = await _accounts(admin, email)
    if not found:
        raise AbsentError(f"there is no account with the address {email}")
    return found[0]


def _table(accounts: list[dict[str, Any]]) -> Table:
    table = Table(title=plural(len(accounts), "account"))
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for each in accounts:
        state = "disabled" if each["disabled"] else "enabled"
        verified, factor = ("yes" if each[name] else "no" for name in ("verified", "totp"))
        roles = ", ".join(each["roles"])
        row = (each["email"], verified, each["name"], roles, factor, state, each["createdAt"][:10])
        table.add_row(*map(printable, row))
    return table
