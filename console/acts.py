"""What changes something: first the plan, and by a form of that page, with a reason, the act."""

import re
import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from msgspec import structs
from starlette.exceptions import HTTPException

from console import answers, asking, browsers, checks, commands, letters, mails, rights, stuck
from console.dependencies import (
    TheChecks,
    TheForm,
    TheJobs,
    TheServices,
    TheShop,
    TheStore,
    TheVisitor,
    TheWanted,
)
from console.jobs import path_of, planned
from console.reading import ROWS, Shop, tried
from console.rights import Offer
from console.services import Command, Refused, Services, command, resending, restocking
from console.sweeping import sweep
from console.visitors import Visitor
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.explain.explanation import Explanation
from sagactl.oncall.jobs.job import Chosen, Verb
from sagactl.oncall.jobs.working import as_chosen
from sagactl.wording import plural
from services.inventory.bodies import MOST_AT_ONCE
from services.shared import telemetry
from services.shared.contract.audit import Action, By
from services.shared.database.store import Store
from services.shared.emails import hidden
from services.shared.http.bodies import Id

REASON_AT_LEAST: Final = 3
REASON_AT_MOST: Final = 200
NO_REASON: Final = f"a reason has {REASON_AT_LEAST} to {REASON_AT_MOST} characters"
OTHERS: Final = "They are others by now: look at the plan again"
# Of jobs, as pages make them.
IDS: Final = re.compile(r"[0-9a-f-]{36}")
# So long a small job is waited for, so that the page that follows tells what became of it.
WAITED_FOR_SECONDS: Final = 3.0
Pieces = Annotated[int, Query(ge=1, le=MOST_AT_ONCE)]
router = APIRouter()


@router.get("/letters/{verb}")
async def plan_for_letters(
    request: Request, verb: Verb, wanted: TheWanted, visitor: TheVisitor, shop: TheShop
) -> Response:
    """Which letters, how many, and what the rules would make of them."""
    return await _letters_planned(request, verb, wanted, visitor, shop)


@router.post("/letters/{verb}")
async def act_on_letters(
    request: Request, verb: Verb, form: TheForm, *, visitor: TheVisitor, shop: TheShop, jobs: TheJobs
) -> Response:
    """Begins a job, which is one however often its form is sent; and leads to its page."""
    wanted = letters.Wanted(*(form.get(name, "") for name in letters.Wanted._fields))
    reason, key = form.get("reason", "").strip(), form.get("key", "")
    if not visitor.user.may(rights.LETTERS):
        return await _letters_planned(request, verb, wanted, visitor, shop)
    if key and (await tried(jobs.get(key))).found:
        return answers.to(path_of(key))
    found, failed = await tried(_to_be_acted_on(shop, wanted))
    if not found or letters.digest(found) != form.get("expected"):
        says = failed or OTHERS
    elif not _is_reason(reason):
        says = NO_REASON
    elif not IDS.fullmatch(key):
        raise browsers.NoForm("key")
    else:
        by = _by(visitor)
        job = planned(key, verb, [*map(_without_mail, found)], reason, await shop.now())
        _, failed = await tried(jobs.begin(job, by))
        if not failed:
            await tried(jobs.over(key, WAITED_FOR_SECONDS))
            return answers.to(path_of(key))
        says = failed
    return await _letters_planned(request, verb, wanted, visitor, shop, Answered(Refused(says), reason))


def _by(visitor: Visitor) -> By:
    return By(visitor.user.actor, visitor.address, telemetry.current_request_id())


def _is_reason(text: str) -> bool:
    return REASON_AT_LEAST <= len(text) <= REASON_AT_MOST


def _without_mail(letter: DeadLetter) -> Chosen:
    """What is kept of it: no customer's address."""
    chosen = as_chosen(letter)
    return structs.replace(chosen, reason=hidden(chosen.reason))


async def _to_be_acted_on(shop: Shop, wanted: letters.Wanted) -> Sequence[DeadLetter]:
    """An open choice is none: a queue has to be named."""
    return await shop.chosen(wanted) if wanted.queue else ()


async def _letters_planned(
    request: Request,
    verb: Verb,
    wanted: letters.Wanted,
    visitor: Visitor,
    shop: Shop,
    before: "Answered | None" = None,
) -> Response:
    found, failed = await tried(_to_be_acted_on(shop, wanted))
    previews = (await tried(shop.previews(found))).found if found else ()
    return answers.page(
        request,
        "act_on_letters",
        HTTPStatus.CONFLICT if before else HTTPStatus.OK,
        here="Letters",
        plan=letters.plan(verb, wanted, found or (), previews or ()),
        why_not=rights.why_not(visitor.user, rights.LETTERS),
        refusal=answers.sentence(before.refusal) if before else failed,
        reason=before.reason if before else "",
        key=str(uuid.uuid4()),
        commands=tuple(commands.of_plan(verb, wanted, before.reason if before else "")) if found else (),
    )


@router.post("/jobs/{job_id}/stop")
async def stop_job(
    request: Request, job_id: Id, _: TheForm, *, visitor: TheVisitor, jobs: TheJobs
) -> Response:
    """What was done stays done; its page says what was not."""
    if why_not := rights.why_not(visitor.user, rights.LETTERS):
        return answers.error(request, HTTPStatus.FORBIDDEN, "Not done", f"To stop a job: {why_not}.")
    failed = (await tried(jobs.stop(job_id, visitor.user.id))).failed
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


@router.get(stuck.SWEEP)
async def plan_for_sweep(request: Request, visitor: TheVisitor, shop: TheShop) -> Response:
    """Which orders a sweep would compensate now, of those that their page shows."""
    return await _sweep_planned(request, visitor, shop)


@router.post(stuck.SWEEP)
async def sweep_now(
    request: Request, form: TheForm, visitor: TheVisitor, shop: TheShop, services: TheServices
) -> Response:
    """Exactly those of the plan. Of each the order service decides once more, by its table."""
    reason = form.get("reason", "").strip()
    if rights.why_not(visitor.user, rights.NEEDS["compensate"]):
        return await _sweep_planned(request, visitor, shop)
    found, failed = await tried(shop.stuck())
    orders = stuck.to_sweep(*found, ROWS) if found else ()
    if found is None or not orders or stuck.digest(orders) != form.get("expected"):
        says = failed or OTHERS
    elif not _is_reason(reason):
        says = NO_REASON
    elif not (says := stuck.told(await sweep(services, orders, reason, visitor))):
        return answers.to("/stuck?done=sweep")
    return await _sweep_planned(request, visitor, shop, Answered(Refused(says), reason))


async def _sweep_planned(
    request: Request, visitor: Visitor, shop: Shop, before: "Answered | None" = None
) -> Response:
    found, failed = await tried(shop.stuck())
    return answers.page(
        request,
        "sweep",
        HTTPStatus.CONFLICT if before else HTTPStatus.OK,
        here="Stuck",
        now=found[1] if found else None,
        plan=stuck.swept(*found, ROWS) if found else None,
        why_not=rights.why_not(visitor.user, rights.NEEDS["compensate"]),
        refusal=answers.sentence(before.refusal) if before else failed,
        reason=before.reason if before else "",
        commands=commands.SWEEP,
    )


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
    reason, key, pieces = form.get("reason", "").strip(), form.get("key", ""), _pieces(form.get("pieces", ""))
    if rights.why_not(visitor.user, rights.STOCK):
        return await _restock_planned(request, product_id, pieces, visitor, shop)
    found, failed = await tried(shop.restocking(product_id, pieces))
    if found is None or not found.allowed:
        says = failed or "It cannot be restocked"
    elif not _is_reason(reason):
        says = NO_REASON
    elif not IDS.fullmatch(key):
        raise browsers.NoForm("key")
    else:
        detail = f"{plural(pieces, 'piece')} more"
        asked = Asked(Action.RESTOCKED, product_id, detail, reason)
        says = await _asked(store, services, visitor, asked, product_id, restocking(pieces, key))
        if not says:
            return answers.to(f"/products/{quote(product_id, safe='')}?done=restock")
    before = Answered(Refused(says), reason)
    return await _restock_planned(request, product_id, pieces, visitor, shop, before)


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
    before: "Answered | None" = None,
) -> Response:
    found, failed = await tried(shop.restocking(product_id, pieces))
    if found is None and not failed:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    reason = before.reason if before else ""
    return answers.page(
        request,
        "restock",
        HTTPStatus.CONFLICT if before else HTTPStatus.OK,
        id=product_id,
        pieces=pieces,
        plan=found,
        why_not=rights.why_not(visitor.user, rights.STOCK),
        refusal=answers.sentence(before.refusal) if before else failed,
        reason=reason,
        key=str(uuid.uuid4()),
        commands=tuple(commands.of_restock(product_id, pieces, reason)),
    )


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
    reason, key = form.get("reason", "").strip(), form.get("key", "")
    found, failed = await tried(shop.mail(mail_id))
    if found is None and not failed:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if found is None or rights.why_not(visitor.user, rights.MAILS):
        return await _resend_planned(request, mail_id, visitor, shop)
    if not _is_reason(reason):
        says = NO_REASON
    elif not IDS.fullmatch(key):
        raise browsers.NoForm("key")
    else:
        detail = f"{found.kind} {found.id}"
        asked = Asked(Action.MAIL_RESENT, found.order_id, detail, reason)
        says = await _asked(store, services, visitor, asked, mail_id, resending(key))
        if not says:
            return answers.to(f"{mails.PATH}?done=resend")
    before = Answered(Refused(says), reason)
    return await _resend_planned(request, mail_id, visitor, shop, before)


async def _resend_planned(
    request: Request, mail_id: str, visitor: Visitor, shop: Shop, before: "Answered | None" = None
) -> Response:
    found, failed = await tried(shop.mail(mail_id))
    if found is None and not failed:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    reason = before.reason if before else ""
    return answers.page(
        request,
        "resend",
        HTTPStatus.CONFLICT if before else HTTPStatus.OK,
        here="Mails",
        plan=mails.to_resend(found) if found else None,
        path_to_resend=mails.path_to_resend(mail_id),
        why_not=rights.why_not(visitor.user, rights.MAILS),
        refusal=answers.sentence(before.refusal) if before else failed,
        reason=reason,
        key=str(uuid.uuid4()),
        commands=tuple(commands.of_resend(mail_id, reason)),
    )


class Asked(NamedTuple):
    """What is on the trail before it is done."""

    action: Action
    # Whom or what it is done to.
    subject: str
    detail: str
    reason: str


async def _asked(
    store: Store, services: Services, visitor: Visitor, asked: Asked, subject: str, asking_for: Command
) -> str:
    """Has a service do something to `subject`. Why it was not done; empty where it was."""
    _, failed = await tried(asking.ask(store, _by(visitor), *asked))
    if failed:
        return failed
    try:
        await services.act(subject, asking_for, visitor.token, visitor.address)
    except Refused as error:
        return str(error)
    return ""


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
    _known(action)
    try:
        asked = command(action, form)
        await services.act(order_id, asked, visitor.token, visitor.address)
    except KeyError as error:
        raise browsers.NoForm(str(error)) from None
    except Refused as error:
        return await _planned(
            request, order_id, action, visitor, shop, Answered(error, form.get("reason", ""))
        )
    return answers.to(f"/orders/{order_id}?done={action}")


class Answered(NamedTuple):
    """What a service said to the form, as it was sent."""

    refusal: Refused
    reason: str


async def _planned(
    request: Request,
    order_id: str,
    action: str,
    visitor: Visitor,
    shop: Shop,
    before: Answered | None = None,
) -> Response:
    _known(action)
    told, failed = await tried(shop.explained(order_id))
    case = (await tried(shop.case(order_id))).found
    return answers.page(
        request,
        "act",
        HTTPStatus.CONFLICT if before else HTTPStatus.OK,
        here="Orders",
        id=order_id,
        action=action,
        offer=_offer(told, action, visitor),
        state=case.order.status if case and case.order else "",
        refusal=answers.sentence(before.refusal) if before else failed,
        reason=before.reason if before else "",
        key=str(uuid.uuid4()),
        commands=tuple(commands.of_action(action, order_id, before.reason if before else "")),
    )


def _known(action: str) -> None:
    if action not in rights.NEEDS:
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _offer(told: Explanation | None, action: str, visitor: Visitor) -> Offer | None:
    found = rights.offers(visitor.user, told.actions if told else ())
    return next((each for each in found if each.name == action), None)
