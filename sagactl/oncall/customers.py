"""`sagactl customers`: all that the shop keeps of a customer, in one document, and its end.

It asks auth through the gateway, as an administrator, and the other stores with the tools' own users.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
import typer

from sagactl.access import Access
from sagactl.exits import Exit
from sagactl.faults import AbsentError
from sagactl.oncall import erasure, trails
from sagactl.oncall.accounts import PATH, account_of
from sagactl.oncall.administrator import ask
from sagactl.oncall.books import Books, reading
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.invariants import Case
from sagactl.oncall.order import to_json
from sagactl.oncall.pseudonyms import Names
from sagactl.oncall.stores import connect
from sagactl.oncall.trails import Concerning
from sagactl.screen import printable
from sagactl.shop import Client, Json, ShopError
from sagactl.terminal import Stack, access, aside, console
from sagactl.wording import masked, plural
from services.shared.contract.audit import Action

WORKS_SECONDS: Final = 300.0
ENTRIES_AT_MOST: Final = 100_000
Who = Annotated[str, typer.Argument(help="The customer's e-mail address, or id.", metavar="EMAIL|ID")]
app = typer.Typer(no_args_is_help=True, help="Customers: export or erase what is stored about one.")


class _Refused(Exception):
    """The customer cannot be erased now. Each sentence says why, and what to do."""

    def __init__(self, code: Exit, sentences: list[str]) -> None:
        super().__init__("\n".join(sentences))
        self.code = code


@app.command("export")
def export(customer: Who, stack: Stack = None) -> None:
    """Print everything that is stored about a customer as one JSON document, without secrets and card tokens.

    Exit code 3: not all dead letters were looked at.
    """
    where = access(stack)

    async def collected(admin: Client) -> tuple[Json, list[str]]:
        account = await _data(admin, customer)
        await trails.ask(where.mongodb_url, Action.CUSTOMER_EXPORTED, account["userId"])
        return await _collect(where, account)

    document, unseen = ask(stack, collected, WORKS_SECONDS)
    typer.echo(json.dumps(document, indent=2, default=str))
    if unseen:
        _say("\n".join(unseen))
        raise typer.Exit(Exit.NOT_YET)


@app.command("erase")
def erase(
    customer: Who,
    stack: Stack = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for messages that are under way.")] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Required to confirm: this cannot be undone.")] = False,  # noqa: FBT002  # an option
) -> None:
    """Remove a customer's account, and their name from all databases. Orders stay, with their amounts.

    Exit code 1: an order has not ended. 3: the account is disabled now, but something under way must end
    first, or dead letters must be handled: run the command again.
    """
    if not yes:
        raise typer.BadParameter("this cannot be undone: give --yes")
    where = access(stack)

    async def erased(admin: Client) -> int | _Refused:
        try:
            return await _erase(admin, where, customer, wait)
        except _Refused as refused:
            return refused

    outcome = ask(stack, erased, WORKS_SECONDS)
    if isinstance(outcome, _Refused):
        _say(str(outcome))
        raise typer.Exit(outcome.code)
    console.print(
        f"{printable(customer)} is erased; {plural(outcome, 'order')} stay, without the name", highlight=False
    )


def _say(text: str) -> None:
    aside.print(printable(text), soft_wrap=True, highlight=False)


async def _data(admin: Client, customer: str) -> Json:
    """The account of an address or an id. Raises AbsentError where there is none."""
    user_id = (await account_of(admin, customer))["userId"] if "@" in customer else customer
    try:
        return await admin.call("GET", f"{PATH}/{user_id}/data")
    except ShopError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise AbsentError(f"there is no account with the id {customer}") from None


async def _erase(admin: Client, where: Access, customer: str, wait: float) -> int:
    """How many orders stay. Raises _Refused."""
    account = await _data(admin, customer)
    user_id = account["userId"]
    if account["roles"]:
        raise _Refused(Exit.BAD, [f"the account has a role: sagactl accounts demote {account['email']}"])
    _check(Exit.BAD, erasure.not_over(await _cases(where, user_id)))
    await trails.ask(where.mongodb_url, Action.CUSTOMER_ERASED, user_id)
    if not account["disabled"]:
        await admin.call("PATCH", f"{PATH}/{user_id}", {"disabled": True})
        account = await _data(admin, user_id)
    _check(Exit.NOT_YET, _tokens(account))
    # No order can come any more; one may have come since.
    cases = await _cases(where, user_id)
    _check(Exit.BAD, erasure.not_over(cases))
    orders = [case.id for case in cases]
    names = Names(account["email"], orders)
    async with connect(where.mongodb_url) as client:
        # Until all of it was looked at and nothing was found: staff may act on an order meanwhile.
        found = True
        while found:
            _check(Exit.NOT_YET, await erasure.unpublished(client, orders))
            _check(Exit.NOT_YET, await erasure.undelivered(where, wait))
            stored = await erasure.pseudonymise(client, user_id, orders)
            # Before the dead letters and after them: one may be restored, or discarded, meanwhile.
            kept = await erasure.rewrite_discarded(client, names)
            letters = await erasure.rewrite_letters(where.amqp_url, names)
            kept += await erasure.rewrite_discarded(client, names)
            _check(Exit.NOT_YET, letters.unseen)
            _check(Exit.BAD, erasure.not_over(await _cases(where, user_id)))
            found = bool(stored or kept or letters.changed)
    # Last, for it is what the rest is found by.
    await admin.call("DELETE", f"{PATH}/{user_id}")
    return len(orders)


def _check(code: Exit, sentences: list[str]) -> None:
    if sentences:
        raise _Refused(code, sentences)


def _tokens(account: Mapping[str, Any]) -> list[str]:
    until = account["tokensUntil"]
    if until is None or datetime.fromisoformat(until) <= datetime.now(UTC):
        return []
    return [
        f"the account is disabled now, its access tokens are good until {until}: run this again after that"
    ]


async def _cases(where: Access, user_id: str) -> list[Case]:
    async with connect(where.mongodb_url) as client, reading(where.mongodb_url) as books:
        return await books.these(await erasure.orders_of(client, user_id))


async def _collect(where: Access, account: Json) -> tuple[Json, list[str]]:
    """All that is kept, and what of the dead letters was not looked at."""
    user_id = account["userId"]
    cases = await _cases(where, user_id)
    orders = [case.id for case in cases]
    names = Names(account["email"], orders)
    letters = await erasure.letters_about(where.amqp_url, names)
    async with connect(where.mongodb_url) as client:
        entries = await trails.told(Books(client), Concerning(user_id, orders), ENTRIES_AT_MOST)
        keys = await erasure.keys_of(client, user_id)
        discarded = await erasure.discarded_about(client, names)
    document = {
        "account": account,
        "orders": [to_json(case) for case in cases],
        "idempotencyKeys": keys,
        "deadLetters": [*map(_readable, letters.letters)],
        "discardedLetters": [
            {**_readable(each.letter), "discardedAt": each.at, "why": each.reason} for each in discarded
        ],
        "auditTrail": msgspec.to_builtins([each.to_json() for each in entries]),
    }
    return document, letters.unseen


def _readable(letter: DeadLetter) -> Json:
    return {**letter._asdict(), "body": masked(letter.body)}
