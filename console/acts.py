"""What changes something: first the plan, and by a form of that page, with a reason, the act."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from msgspec import structs
from starlette.exceptions import HTTPException

from console import (
    answers,
    asking,
    browsers,
    bulk,
    checks,
    commands,
    explained,
    letters,
    mails,
    rights,
    stuck,
)
from console.acting import Act, Refusal, Signed, answered, carry_out, check_same, plan_page
from console.dependencies import (
    TheChecks,
    TheForm,
    TheJobs,
    TheOrders,
    TheServices,
    TheShop,
    TheStore,
    TheVisitor,
    TheWanted,
)
from console.jobs import path_of, planned
from console.ordering import Login
from console.orders import Wanted as ThoseOrders
from console.reading import ROWS, Shop, tried
from console.rights import Offer
from console.services import Command, Refused, Services, command, resending, restocking
from console.sweeping import sweep
from console.visitors import Visitor
from console.work import Jobs
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.invariants import Case
from sagactl.oncall.jobs.job import Chosen, Job, Verb
from sagactl.oncall.jobs.working import as_chosen
from sagactl.wording import plural
from services.inventory.bodies import MOST_AT_ONCE
from services.shared import telemetry
from services.shared.contract.audit import Action, By
from services.shared.database.store import Store
from services.shared.emails import hidden
from services.shared.http.bodies import Id

# So long a small job is waited for, so that the page that follows tells what became of it.
WAITED_FOR_SECONDS: Final = 3.0
NOTHING_YET: Final = Refusal()
Pieces = Annotated[int, Query(ge=1, le=MOST_AT_ONCE)]
router = APIRouter()


# --- dead letters -----------------------------------------------------------------------------------------


@router.get("/letters/{verb}")
async def plan_for_letters(
    request: Request, verb: Verb, wanted: TheWanted, visitor: TheVisitor, shop: TheShop
) -> Response:
    """Which letters, how many, and what the rules would make of them."""
    return await _letters_planned(request, verb, wanted, visitor, shop)


@router.post("/letters/{verb}")
async def act_on_letters(  # noqa: PLR0917  # FastAPI passes them by name
    request: Request,
    verb: Verb,
    wanted: TheWanted,
    form: TheForm,
    visitor: TheVisitor,
    shop: TheShop,
    jobs: TheJobs,
) -> Response:
    """Begins a job with them, and leads to its page."""

    async def make(signed: Signed) -> Job:
        found = await answered(_to_be_acted_on(shop, verb, wanted))
        check_same(letters.digest(found) if found else "", form)
        at = await answered(shop.now())
        return planned(signed.key, verb, [*map(_without_mail, found)], signed.reason, at)

    plan = partial(_letters_planned, request, verb, wanted, visitor, shop)
    return await carry_out(Act(rights.LETTERS, plan, partial(_begun, jobs, visitor, make)), form, visitor)


async def _begun(
    jobs: Jobs,
    visitor: Visitor,
    make: Callable[[Signed], Awaitable[Job | bulk.OrderJob]],
    signed: Signed,
) -> str:
    """Begins a job, which is one however often its form is sent; and leads to its page."""
    page = path_of(signed.key)
    if (await tried(jobs.get(signed.key))).found:
        return page
    job = await make(signed)
    await answered(jobs.begin(job, _login(visitor)))
    await tried(jobs.over(job.id, WAITED_FOR_SECONDS))
    return page


def _without_mail(letter: DeadLetter) -> Chosen:
    """What is kept of it: no customer's address."""
    chosen = as_chosen(letter)
    return structs.replace(chosen, reason=hidden(chosen.reason))


async def _to_be_acted_on(shop: Shop, verb: Verb, wanted: letters.Wanted) -> Sequence[DeadLetter]:
    """An open choice is none: a queue has to be named."""
    return await shop.chosen(verb, wanted) if wanted.queue else ()


async def _letters_planned(
    request: Request,
    verb: Verb,
    wanted: letters.Wanted,
    visitor: Visitor,
    shop: Shop,
    refusal: Refusal = NOTHING_YET,
) -> Response:
    found, failed = await tried(_to_be_acted_on(shop, verb, wanted))
    previews = (await tried(shop.previews(found))).found if found and verb is Verb.REDRIVE else ()
    return plan_page(
        request,
        "act_on_letters",
        refusal,
        failed,
        here="Letters",
        plan=letters.plan(verb, wanted, found or (), previews or ()),
        why_not=rights.why_not(visitor.user, rights.LETTERS),
        commands=tuple(commands.of_plan(verb, wanted, refusal.reason)) if found else (),
    )


@router.post("/jobs/{job_id}/stop")
async def stop_job(
    request: Request, job_id: Id, _: TheForm, *, visitor: TheVisitor, jobs: TheJobs
) -> Response:
    """What was done stays done; its page says what was not."""
    return await _with_job(request, job_id, visitor, jobs, lambda: jobs.stop(job_id, visitor.user.id))


@router.post("/jobs/{job_id}/go-on")
async def go_on_with_job(
    request: Request, job_id: Id, _: TheForm, *, visitor: TheVisitor, jobs: TheJobs
) -> Response:
    """What is left of a job with orders is done by whoever is signed in now."""
    return await _with_job(request, job_id, visitor, jobs, lambda: jobs.go_on(job_id, _login(visitor)))


async def _with_job(
    request: Request, job_id: str, visitor: Visitor, jobs: Jobs, act_on: Callable[[], Awaitable[None]]
) -> Response:
    found, failed = await tried(jobs.get(job_id))
    if found is not None:
        if why_not := rights.why_not(visitor.user, rights.of_job(found.job.verb)):
            return answers.error(request, HTTPStatus.FORBIDDEN, "Not done", f"With this job: {why_not}.")
        failed = (await tried(act_on())).failed
    if failed:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, failed)
    await tried(jobs.over(job_id, WAITED_FOR_SECONDS))
    return answers.to(path_of(job_id))


@router.post(checks.PATH)
async def begin_check(form: TheForm, visitor: TheVisitor, kept: TheChecks) -> Response:
    """One that is under way already goes on; the page tells what became of it."""
    if form.get("within") not in checks.WITHIN:
        raise browsers.NoForm("within")
    if not rights.why_not(visitor.user, rights.CHECK):
        await tried(kept.begin(visitor.user.id, checks.WITHIN[form["within"]]))
    return answers.to(checks.PATH)


# --- orders that are stuck --------------------------------------------------------------------------------


@router.get(stuck.SWEEP)
async def plan_for_sweep(request: Request, visitor: TheVisitor, shop: TheShop) -> Response:
    """Which orders a sweep would compensate now, of those that their page shows."""
    return await _sweep_planned(request, visitor, shop)


@router.post(stuck.SWEEP)
async def sweep_now(
    request: Request, form: TheForm, visitor: TheVisitor, shop: TheShop, services: TheServices
) -> Response:
    """Exactly those of the plan. Of each the order service decides once more, by its table."""

    async def begin(signed: Signed) -> str:
        orders = stuck.to_sweep(*await answered(shop.stuck()), ROWS)
        check_same(stuck.digest(orders) if orders else "", form)
        if says := stuck.told(await sweep(services, orders, signed.reason, visitor)):
            raise Refused(says)
        return "/stuck?done=sweep"

    plan = partial(_sweep_planned, request, visitor, shop)
    return await carry_out(Act(rights.NEEDS["compensate"], plan, begin), form, visitor)


async def _sweep_planned(
    request: Request, visitor: Visitor, shop: Shop, refusal: Refusal = NOTHING_YET
) -> Response:
    found, failed = await tried(shop.stuck())
    return plan_page(
        request,
        "sweep",
        refusal,
        failed,
        here="Stuck",
        now=found[1] if found else None,
        plan=stuck.swept(*found, ROWS) if found else None,
        why_not=rights.why_not(visitor.user, rights.NEEDS["compensate"]),
        commands=commands.SWEEP,
    )


# --- stock ------------------------------------------------------------------------------------------------


@router.get("/products/{product_id}/restock")
async def plan_for_stock(
    request: Request, product_id: Id, pieces: Pieces, visitor: TheVisitor, shop: TheShop
) -> Response:
    """What would come of it, before it is done."""
    return await _restock_planned(request, product_id, pieces, visitor, shop)


@router.post("/products/{product_id}/restock")
async def restock(  # noqa: PLR0917  # FastAPI passes them by name
    request: Request,
    product_id: Id,
    form: TheForm,
    visitor: TheVisitor,
    shop: TheShop,
    services: TheServices,
    store: TheStore,
) -> Response:
    """Why is on the trail before the inventory service is asked, which decides."""
    pieces = _pieces(form.get("pieces", ""))

    async def ask(signed: Signed) -> str:
        found = await answered(shop.restocking(product_id, pieces))
        if found is None or not found.allowed:
            raise Refused("it cannot be restocked")
        asked = Asked(Action.RESTOCKED, product_id, f"{plural(pieces, 'piece')} more", signed.reason)
        await _ask(store, services, visitor, asked, product_id, restocking(pieces, signed.key))
        return f"/products/{quote(product_id, safe='')}?done=restock"

    plan = partial(_restock_planned, request, product_id, pieces, visitor, shop)
    return await carry_out(Act(rights.STOCK, plan, ask), form, visitor)


def _pieces(text: str) -> int:
    """Raises NoForm for what no page of ours sends."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MOST_AT_ONCE:
        raise browsers.NoForm("pieces")
    return int(text)


async def _restock_planned(
    request: Request,
    product_id: str,
    pieces: int,
    visitor: Visitor,
    shop: Shop,
    refusal: Refusal = NOTHING_YET,
) -> Response:
    found, failed = await tried(shop.restocking(product_id, pieces))
    if found is None and not failed:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return plan_page(
        request,
        "restock",
        refusal,
        failed,
        id=product_id,
        pieces=pieces,
        plan=found,
        why_not=rights.why_not(visitor.user, rights.STOCK),
        commands=tuple(commands.of_restock(product_id, pieces, refusal.reason)),
    )


# --- mails ------------------------------------------------------------------------------------------------


@router.get("/mails/{mail_id}/resend")
async def plan_for_mail(request: Request, mail_id: Id, visitor: TheVisitor, shop: TheShop) -> Response:
    """What would be sent, before it is."""
    return await _resend_planned(request, mail_id, visitor, shop)


@router.post("/mails/{mail_id}/resend")
async def resend(  # noqa: PLR0917  # FastAPI passes them by name
    request: Request,
    mail_id: Id,
    form: TheForm,
    visitor: TheVisitor,
    shop: TheShop,
    services: TheServices,
    store: TheStore,
) -> Response:
    """Why is on the trail before the notification service is asked, which decides."""

    async def ask(signed: Signed) -> str:
        found = await answered(shop.mail(mail_id))
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        asked = Asked(Action.MAIL_RESENT, found.order_id, f"{found.kind} {found.id}", signed.reason)
        await _ask(store, services, visitor, asked, mail_id, resending(signed.key))
        return f"{mails.PATH}?done=resend"

    plan = partial(_resend_planned, request, mail_id, visitor, shop)
    return await carry_out(Act(rights.MAILS, plan, ask), form, visitor)


async def _resend_planned(
    request: Request, mail_id: str, visitor: Visitor, shop: Shop, refusal: Refusal = NOTHING_YET
) -> Response:
    found, failed = await tried(shop.mail(mail_id))
    if found is None and not failed:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return plan_page(
        request,
        "resend",
        refusal,
        failed,
        here="Mails",
        plan=mails.to_resend(found) if found else None,
        path_to_resend=mails.path_to_resend(mail_id),
        why_not=rights.why_not(visitor.user, rights.MAILS),
        commands=tuple(commands.of_resend(mail_id, refusal.reason)),
    )


# --- what is asked of a service ---------------------------------------------------------------------------


class Asked(NamedTuple):
    """What is on the trail before it is done."""

    action: Action
    # Whom or what it is done to.
    subject: str
    detail: str
    reason: str


async def _ask(
    store: Store, services: Services, visitor: Visitor, asked: Asked, subject: str, asking_for: Command
) -> None:
    """Has a service do something to `subject`. Raises Refused where it was not done."""
    await answered(asking.ask(store, _by(visitor), *asked))
    await services.act(subject, asking_for, visitor.token, visitor.address)


def _by(visitor: Visitor) -> By:
    return By(visitor.user.actor, visitor.address, telemetry.current_request_id())


def _login(visitor: Visitor) -> Login:
    return Login(visitor.token, _by(visitor))


# --- all orders that are alike ----------------------------------------------------------------------------


@router.get("/orders/all/{verb}")
async def plan_for_orders(
    request: Request, verb: bulk.Verb, wanted: TheOrders, visitor: TheVisitor, shop: TheShop
) -> Response:
    """With how many orders what would be done, and why not with the others."""
    return await _orders_planned(request, verb, wanted, visitor, shop)


@router.post("/orders/all/{verb}")
async def act_on_orders(  # noqa: PLR0917  # FastAPI passes them by name
    request: Request,
    verb: bulk.Verb,
    wanted: TheOrders,
    form: TheForm,
    visitor: TheVisitor,
    shop: TheShop,
    jobs: TheJobs,
) -> Response:
    """Begins a job with them, and leads to its page."""

    async def make(signed: Signed) -> bulk.OrderJob:
        found = await answered(shop.all_orders(wanted))
        check_same(bulk.digest_of(found) if found and len(found) <= bulk.AT_MOST else "", form)
        return bulk.job(signed.key, verb, found, signed.reason, await answered(shop.now()))

    plan = partial(_orders_planned, request, verb, wanted, visitor, shop)
    return await carry_out(Act(rights.NEEDS[verb], plan, partial(_begun, jobs, visitor, make)), form, visitor)


async def _orders_planned(
    request: Request,
    verb: bulk.Verb,
    wanted: ThoseOrders,
    visitor: Visitor,
    shop: Shop,
    refusal: Refusal = NOTHING_YET,
) -> Response:
    found, failed = await tried(shop.all_orders(wanted))
    return plan_page(
        request,
        "act_on_orders",
        refusal,
        failed,
        here="Orders",
        plan=bulk.plan(verb, wanted, found or (), datetime.now(UTC)),
        at_most=bulk.AT_MOST,
        why_not=rights.why_not(visitor.user, rights.NEEDS[verb]),
        commands=tuple(commands.of_orders(wanted)),
    )


# --- orders -----------------------------------------------------------------------------------------------


@router.get("/orders/{order_id}/{action}")
async def plan(request: Request, order_id: Id, action: str, visitor: TheVisitor, shop: TheShop) -> Response:
    """What would be done, before it is."""
    return await _planned(request, order_id, action, visitor, shop)


@router.post("/orders/{order_id}/{action}")
async def act(
    request: Request,
    order_id: Id,
    action: str,
    form: TheForm,
    *,
    visitor: TheVisitor,
    shop: TheShop,
    services: TheServices,
) -> Response:
    """The order service decides all of it: who may, in which state, and whether a reason is one."""
    _known(action)
    try:
        await services.act(order_id, _asked_for(action, form), visitor.token, visitor.address)
    except Refused as error:
        refusal = Refusal(str(error), form.get("reason", ""))
        return await _planned(request, order_id, action, visitor, shop, refusal)
    return answers.to(f"/orders/{order_id}?done={action}")


def _asked_for(action: str, form: Mapping[str, str]) -> Command:
    """Raises NoForm."""
    try:
        return command(action, form)
    except KeyError as error:
        raise browsers.NoForm(str(error)) from None


async def _planned(
    request: Request,
    order_id: str,
    action: str,
    visitor: Visitor,
    shop: Shop,
    refusal: Refusal = NOTHING_YET,
) -> Response:
    _known(action)
    # By the table, which asks nothing but the books: whatever becomes of the order's messages.
    case, failed = await tried(shop.case(order_id))
    return plan_page(
        request,
        "act",
        refusal,
        failed,
        here="Orders",
        id=order_id,
        action=action,
        offer=_offer(case, action, visitor) if case else None,
        state=case.order.status if case and case.order else "",
        commands=tuple(commands.of_action(action, order_id, refusal.reason)),
    )


def _known(action: str) -> None:
    if action not in rights.NEEDS:
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _offer(case: Case, action: str, visitor: Visitor) -> Offer | None:
    found = rights.offers(visitor.user, explained.allowed(case, datetime.now(UTC)))
    return next((each for each in found if each.name == action), None)
