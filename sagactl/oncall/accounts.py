"""`sagactl accounts`: who has a role; roles given and taken, accounts disabled, logins ended.

It asks the auth service through the gateway, as an administrator: GATEWAY_URL, ADMIN_EMAIL, ADMIN_PASSWORD,
and ADMIN_CODE where that account has a second factor.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
import typer
from msgspec import Struct

from sagactl.documents import Document
from sagactl.faults import AbsentError
from sagactl.oncall.administrator import ask
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.screen import printable
from sagactl.shop import Client, Json
from sagactl.terminal import Stack, console

PATH: Final = "/auth/accounts"
UNVERIFIED: Final = (
    "nobody has shown to read mail to {email}: the account may be of somebody else. Ask for another letter "
    "(POST /auth/verify/resend), or give the role all the same with --yes"
)
Email = Annotated[str, typer.Argument(help="E-mail address of the account.", metavar="EMAIL")]
Role = Annotated[str, typer.Argument(help="admin, support or viewer.", metavar="ROLE")]


class Account(Struct, frozen=True, rename="camel"):
    user_id: str
    email: str
    name: str
    roles: tuple[str, ...]
    # Whether its owner has shown to read mail to the address.
    verified: bool
    # Whether a login needs a code of an authenticator app.
    totp: bool
    disabled: bool
    created_at: datetime


class AccountList(Document, frozen=True, kw_only=True):
    items: tuple[Account, ...]


def _yes(said: bool) -> str:  # noqa: FBT001  # what is said
    return "yes" if said else "no"


COLUMNS: Final[Sequence[Column[Account]]] = (
    Column("e-mail", lambda each: each.email),
    Column("verified", lambda each: _yes(each.verified)),
    Column("name", lambda each: each.name),
    Column("roles", lambda each: ", ".join(each.roles)),
    Column("second factor", lambda each: _yes(each.totp)),
    Column("state", lambda each: "disabled" if each.disabled else "enabled"),
    Column("since", attrgetter("created_at")),
    Column("id", lambda each: each.user_id, wide=True),
)
app = typer.Typer(
    no_args_is_help=True, help="Accounts: who has a role, and changes to any account by its e-mail address."
)


@app.command("list")
def list_(
    email: Annotated[
        str | None, typer.Argument(help="Only the account with this address; it may be a customer's.")
    ] = None,
    stack: Stack = None,
    output: Form = Output.TABLE,
) -> None:
    """Show every account that has a role, or the account with the given address."""
    found = ask(stack, lambda admin: _accounts(admin, email))
    _show(found, output)


@app.command()
def disable(email: Email, stack: Stack = None) -> None:
    """Disable an account: log it out everywhere, and refuse new logins."""
    _change(stack, email, disabled=True)


@app.command()
def enable(email: Email, stack: Stack = None) -> None:
    """Allow a disabled account to log in again."""
    _change(stack, email, disabled=False)


@app.command()
def promote(
    email: Email,
    role: Role,
    stack: Stack = None,
    yes: Annotated[bool, typer.Option("--yes", help="Even if the address is not verified.")] = False,  # noqa: FBT002  # an option
) -> None:
    """Give an account a role, in place of any that it has."""

    async def promoted(admin: Client) -> Json:
        account = await account_of(admin, email)
        if not (account["verified"] or yes):
            raise typer.BadParameter(UNVERIFIED.format(email=email))
        return await _changed(admin, account, roles=[role])

    _show([ask(stack, promoted)])


@app.command()
def demote(email: Email, stack: Stack = None) -> None:
    """Remove all roles from an account, and log it out everywhere."""
    _change(stack, email, roles=[])


@app.command("log-out")
def log_out(email: Email, stack: Stack = None) -> None:
    """End all logins of an account. Its access tokens stay valid until they expire, at most 15 minutes."""

    async def end(admin: Client) -> None:
        account = await account_of(admin, email)
        await admin.call("POST", f"{PATH}/{account['userId']}/logout")

    ask(stack, end)
    console.print(f"{printable(email)} is logged out everywhere", highlight=False)


@app.command("totp-reset")
def totp_reset(email: Email, stack: Stack = None) -> None:
    """Remove the second factor of an account whose owner lost it, and log it out everywhere."""

    async def reset(admin: Client) -> None:
        account = await account_of(admin, email)
        await admin.call("DELETE", f"{PATH}/{account['userId']}/totp")

    ask(stack, reset)
    console.print(f"{printable(email)} now logs in with its password only", highlight=False)


def _change(stack: Stack, email: str, **change: object) -> None:
    async def changed(admin: Client) -> Json:
        return await _changed(admin, await account_of(admin, email), **change)

    _show([ask(stack, changed)])


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


def _show(accounts: list[Json], output: Output = Output.TABLE) -> None:
    found = msgspec.convert(accounts, tuple[Account, ...])
    names = [each.email for each in found]
    show(Shown(AccountList(items=found), table(found, "account", COLUMNS), names, found), output)
