"""`sagactl login`, `logout`, `whoami`: an account of one's own, which the audit trail names."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Final

import aiohttp
import typer

from sagactl import kept_login
from sagactl.access import CODE, GATEWAY_LOGIN, NoAccessError, OrderAccess, Source, setting
from sagactl.documents import Document
from sagactl.exits import Exit
from sagactl.kept_login import KeptLogin, NotKeptError
from sagactl.oncall import administrator
from sagactl.oncall.administrator import at_a_gateway, login_of
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.shop import Client, ShopError
from sagactl.terminal import Stack, aside, console, telling
from services.shared.contract.codes import Code

PATH: Final = "/auth/me"


class WhoAmI(Document, frozen=True, kw_only=True):
    gateway: str
    user_id: str
    email: str
    name: str
    roles: tuple[str, ...]
    # What says so.
    by: Source
    # What would say so as well, and does not count; a sentence each.
    unused: tuple[str, ...] = ()


def login(
    stack: Stack = None,
    gateway: Annotated[
        str | None,
        typer.Option(
            help="Address of the gateway. Otherwise GATEWAY_URL, or the gateway of the local stack."
        ),
    ] = None,
    email: Annotated[
        str | None, typer.Option(help="E-mail address of the account. Without it, the command asks.")
    ] = None,
) -> None:
    """Log in at a shop's gateway with your own account, and stay logged in.

    The command asks for the password, or reads it from standard input if there is no terminal. It asks for
    the code of the second factor, or takes ADMIN_CODE. The login is stored in ~/.config/sagactl, readable by
    you only.
    """
    where = _gateway(gateway, stack)
    who = email or _asked("E-mail", "give the account: --email")
    password = _asked("Password", hidden=True)

    async def logged_in(session: aiohttp.ClientSession) -> tuple[Client, list[str]]:
        visitor = Client(session, where)
        try:
            client = await visitor.log_in(who, password)
        except ShopError as error:
            if Code.TOTP_REQUIRED not in str(error):
                raise
            client = await visitor.log_in(who, password, _code(error))
        return client, list((await client.call("GET", PATH))["roles"])

    client, roles = at_a_gateway(logged_in)
    with telling():
        before = _before()
        kept_login.keep(login_of(client, who))
    if before is not None:
        _end(before)
    said = ", ".join(roles) or "no role: it may do what customers may"
    console.print(f"logged in at {printable(where)} as {printable(who)} ({said})", highlight=False)
    console.print(f"kept in {printable(str(kept_login.file()))}", highlight=False, soft_wrap=True)


def logout() -> None:
    """End the login that is stored on this machine.

    The gateway is told, so that nobody can use the login any more. If the gateway does not answer, the login
    stays.
    """
    with telling():
        found = kept_login.kept()
    if found is None:
        aside.print("you are not logged in", highlight=False)
        return
    at_a_gateway(lambda session: _ended(session, found))
    with telling():
        kept_login.forget()
    said = f"{printable(found.email)} is logged out at {printable(found.gateway)}"
    console.print(said, highlight=False, soft_wrap=True)


def whoami(stack: Stack = None, output: Form = Output.TABLE) -> None:
    """Show which shop and account the commands use, and which setting says so.

    The gateway is the first of these that is set: the named stack, GATEWAY_URL, a local stack, the stored
    login (sagactl login). At its own gateway, the stored login is used before any password.
    """
    access = administrator.login(OrderAccess.at_the_gateway, stack)
    account = administrator.ask(stack, lambda client: client.call("GET", PATH))
    found = WhoAmI(
        gateway=access.gateway,
        user_id=account["userId"],
        email=account["email"],
        name=account["name"],
        roles=tuple(account["roles"]),
        by=access.source,
        unused=tuple(_unused(access)),
    )
    show(Shown(found, lambda _: _screen(found), [found.email]), output)


def _screen(found: WhoAmI) -> Iterator[str]:
    yield f"[bold]gateway[/]   {printable(found.gateway)}"
    yield f"[bold]account[/]   {printable(found.email)} ({', '.join(found.roles) or 'no role'})"
    yield f"[bold]by[/]        {printable(_says(found.by))}"
    for each in found.unused:
        yield f"[bold]unused[/]    {printable(each)}"


def _says(source: Source) -> str:
    match source:
        case Source.LOGIN:
            return f"the login that is stored in {kept_login.file()}"
        case Source.SETTINGS:
            return f"{' and '.join(GATEWAY_LOGIN[1:])}, variables or files in SECRETS_DIR"
        case Source.STACK:
            return "the stack on this machine"


def _unused(access: OrderAccess) -> Iterator[str]:
    if access.source is Source.LOGIN and all(map(setting, GATEWAY_LOGIN[1:])):
        yield f"{' and '.join(GATEWAY_LOGIN[1:])}: a stored login is used first"
    other = kept_login.kept()
    if access.source is not Source.LOGIN and other is not None:
        yield f"the login of {other.email}: it belongs to another gateway, {other.gateway}"


def _gateway(given: str | None, stack: Stack) -> str:
    """Raises BadParameter where nobody says where it is."""
    if given is None and stack is None:
        given = setting(GATEWAY_LOGIN[0])
    if given is not None:
        return given.rstrip("/")
    try:
        return OrderAccess.at_the_gateway(stack).gateway
    except NoAccessError:
        raise typer.BadParameter("give the address of the shop: --gateway, or GATEWAY_URL") from None


def _asked(what: str, missing: str = "", *, hidden: bool = False) -> str:
    """Of whoever sits there; else of standard input, where `missing` does not say what to give instead."""
    if sys.stdin.isatty():
        try:
            answer: str = typer.prompt(what, hide_input=hidden, err=True)
        except typer.Abort:
            raise typer.Exit(Exit.INTERRUPTED) from None
        return answer
    if missing:
        raise typer.BadParameter(f"there is no terminal to ask on: {missing}")
    return sys.stdin.readline().rstrip("\r\n")


def _code(required: ShopError) -> str:
    """Raises `required` where nobody can be asked for it, and no setting says it."""
    if sys.stdin.isatty():
        return _asked("Code of the second factor")
    code = setting(CODE)
    if not code:
        raise required
    return code


def _before() -> KeptLogin | None:
    """What is kept so far; what others can use is not believed, and said so."""
    try:
        return kept_login.kept()
    except NotKeptError as error:
        aside.print(f"[yellow]{printable(str(error))}[/]", highlight=False, soft_wrap=True)
        return None


def _end(before: KeptLogin) -> None:
    """The login that another took the place of; where its gateway is away, it ends by itself."""
    try:
        at_a_gateway(lambda session: _ended(session, before))
    except typer.Exit:
        aside.print(
            f"the login of {printable(before.email)} before this one was not ended",
            highlight=False,
            soft_wrap=True,
        )


async def _ended(session: aiohttp.ClientSession, login: KeptLogin) -> Any:  # noqa: ANN401  # nothing
    return await Client(session, login.gateway).call(
        "POST", "/auth/logout", {"refreshToken": login.refresh_token}
    )
