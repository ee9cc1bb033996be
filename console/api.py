"""The pages' routes: each reads what it shows, and what acts asks the services with the person's token."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.exceptions import HTTPException

from console import answers, browsers, explained, letters, orders, rights, standing
from console.letters import Verb
from console.orders import Show
from console.reading import ACTED_ON_AT_MOST, Shop, link_of, tried
from console.rights import Offer
from console.services import Refused, Services, command
from console.visitors import Address, AnyForm, Door, TheForm, TheVisitor, Visitor
from sagactl.oncall.broker import QUEUES, DeadLetter
from sagactl.oncall.explain.explanation import Explanation, Verdict
from services.order.model import Status
from services.shared import telemetry
from services.shared.contract.audit import By
from services.shared.http.answers import CAUSE
from services.shared.http.bodies import Id
from services.shared.http.cursors import LONGEST, Cursor
from services.shared.http.rights import refusal

router = APIRouter(include_in_schema=False)
# What the next page says once something was done: by a word of ours, so that no address can say anything.
SAID: Final = {
    "cancel": "It was cancelled.",
    "refund": "Its refund was asked for.",
    "compensate": "It was compensated.",
    "redrive": "They were handed back to their queue: those that fail again are listed anew.",
    "discard": "They were deleted.",
}
REASON_AT_LEAST: Final = 3
REASON_AT_MOST: Final = 200
Text = Annotated[str, Query(max_length=320)]


async def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


async def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


TheShop = Annotated[Shop, Depends(_shop)]
TheDoor = Annotated[Door, Depends(_door)]

# --- in and out -------------------------------------------------------------------------------------------


@router.get("/login")
async def login(request: Request, next_: Annotated[str, Query(alias="next")] = "/") -> Response:
    return answers.page(request, "signin", next=browsers.local_path(next_), email="", refusal="")


@router.post("/login")
async def sign_in(request: Request, form: AnyForm, door: TheDoor, address: Address) -> Response:
    there, email = browsers.local_path(form.get("next", "/")), form.get("email", "")
    try:
        id_ = await door.enter(email, form.get("password", ""), form.get("code", "").strip(), address)
    except Refused as error:
        status = HTTPStatus.UNAUTHORIZED
        return answers.page(request, "signin", status, next=there, email=email, refusal=_sentence(error))
    answer = answers.to(there)
    answers.remember(request, answer, id_)
    return answer


@router.post("/logout")
async def sign_out(request: Request, _: TheForm, door: TheDoor, visitor: TheVisitor) -> Response:
    """Where the auth service does not answer its login goes on, which nobody has any more."""
    answer = answers.to("/login")
    answers.forget(request, answer)
    try:
        await door.leave(visitor)
    except Refused as error:
        request.scope[CAUSE] = error
    return answer


@router.post("/theme")
async def choose_theme(form: TheForm) -> Response:
    answer = answers.to(browsers.local_path(form.get("back", "/")))
    theme = form.get("theme", "")
    if theme in browsers.THEMES:
        answer.set_cookie(browsers.THEME, theme, max_age=31536000, httponly=True, samesite="strict")
    else:
        answer.delete_cookie(browsers.THEME, httponly=True, samesite="strict")
    return answer


# --- to look ----------------------------------------------------------------------------------------------


@router.get("/")
async def now(request: Request, _: TheVisitor, shop: TheShop) -> Response:
    found, failed = await tried(shop.status())
    if found is None:
        return answers.page(request, "now", here="Now", failed=failed, page=None)
    return answers.page(request, "now", here="Now", now=found.at, page=standing.page(found))


@router.get("/orders")
async def list_orders(
    request: Request,
    _: TheVisitor,
    shop: TheShop,
    show: Show = Show.ALL,
    status: Status | None = None,
    cursor: Annotated[str | None, Query(max_length=LONGEST)] = None,
) -> Response:
    found, failed = await tried(shop.orders(show, status, _cursor(cursor)))
    page = orders.page(*(found or ((), None)), show, status)
    return answers.page(request, "orders", here="Orders", failed=failed, page=page)


@router.get("/orders/{order_id}")
async def show_order(
    request: Request, order_id: Id, visitor: TheVisitor, shop: TheShop, done: str = ""
) -> Response:
    case, failed = await tried(shop.case(order_id))
    if case is None:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, failed)
    told, failed = await tried(shop.explained(order_id))
    if told is not None:  # which has looked once more
        case = (await tried(shop.case(order_id))).found or case
    page = explained.page(told, case, visitor.user)
    nobody_knows = told is not None and told.verdict is Verdict.UNKNOWN
    return answers.page(
        request,
        "order",
        HTTPStatus.NOT_FOUND if nobody_knows else HTTPStatus.OK,
        here="Orders",
        now=told.at if told else None,
        id=order_id,
        page=page,
        failed=failed,
        said=SAID.get(done, ""),
    )


def _wanted(
    queue: Text = "",
    kind: Text = "",
    type_: Annotated[str, Query(alias="type", max_length=320)] = "",
    text: Text = "",
    id_: Annotated[str, Query(alias="id", max_length=320)] = "",
) -> letters.Wanted:
    return letters.Wanted(queue, kind, type_, text.strip(), id_)


TheWanted = Annotated[letters.Wanted, Depends(_wanted)]


@router.get("/letters")
async def list_letters(
    request: Request, visitor: TheVisitor, shop: TheShop, wanted: TheWanted, done: str = ""
) -> Response:
    found, failed = await tried(shop.letters())
    page = letters.page(found or (), wanted, QUEUES)
    may = visitor.user.may(rights.LETTERS)
    return answers.page(
        request,
        "letters",
        here="Letters",
        failed=failed,
        page=page,
        why_not="" if may else refusal(rights.LETTERS),
        said=SAID.get(done, ""),
    )


@router.get("/letter")
async def show_letter(
    request: Request, visitor: TheVisitor, shop: TheShop, queue: Text, id_: Annotated[str, Query(alias="id")]
) -> Response:
    found, failed = await tried(shop.letter(queue, id_))
    if found is None and not failed:
        failed = f"There is no dead letter {id_} in {queue} any more."
    preview = (await tried(shop.preview(found))).found if found else None
    page = letters.one(found, preview) if found else None
    why_not = "" if visitor.user.may(rights.LETTERS) else refusal(rights.LETTERS)
    status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
    return answers.page(
        request, "letter", status, here="Letters", id=id_, page=page, failed=failed, why_not=why_not
    )


@router.get("/find")
async def find(request: Request, _: TheVisitor, shop: TheShop, q: Text) -> Response:
    found, failed = await tried(shop.hits(q.strip()))
    hits = [(each, link_of(each)) for each in found or ()]
    match hits:
        case [(_, link)] if link:
            return answers.to(link)
    return answers.page(request, "found", q=q, hits=hits, failed=failed)


# --- to act -----------------------------------------------------------------------------------------------


@router.get("/letters/{verb}")
async def plan_for_letters(
    request: Request, verb: Verb, wanted: TheWanted, visitor: TheVisitor, shop: TheShop
) -> Response:
    """Which letters, how many, and what the rules would make of them."""
    return await _letters_planned(request, verb, wanted, visitor, shop)


@router.post("/letters/{verb}")
async def act_on_letters(
    request: Request, verb: Verb, form: TheForm, visitor: TheVisitor, shop: TheShop
) -> Response:
    wanted = letters.Wanted(*(form.get(name, "") for name in letters.Wanted._fields))
    reason = form.get("reason", "").strip()
    if not visitor.user.may(rights.LETTERS):
        return await _letters_planned(request, verb, wanted, visitor, shop)
    found, failed = await tried(_to_be_acted_on(shop, wanted))
    if not found or letters.digest(found) != form.get("expected"):
        says = failed or "They are others by now: look at the plan again"
        return await _letters_planned(request, verb, wanted, visitor, shop, Answered(Refused(says), reason))
    if not REASON_AT_LEAST <= len(reason) <= REASON_AT_MOST:
        says = f"a reason has {REASON_AT_LEAST} to {REASON_AT_MOST} characters"
        return await _letters_planned(request, verb, wanted, visitor, shop, Answered(Refused(says), reason))
    by = By(visitor.user.actor, visitor.address, telemetry.current_request_id())
    _, failed = await tried(shop.act(verb, found, by, reason))
    if failed:
        return await _letters_planned(request, verb, wanted, visitor, shop, Answered(Refused(failed), reason))
    return answers.to(f"/letters?{urlencode({'queue': wanted.queue, 'done': verb})}")


async def _to_be_acted_on(shop: Shop, wanted: letters.Wanted) -> Sequence[DeadLetter]:
    """An open choice is none: a queue has to be named."""
    return (await shop.chosen(wanted))[:ACTED_ON_AT_MOST] if wanted.queue else ()


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
    may = visitor.user.may(rights.LETTERS)
    return answers.page(
        request,
        "act_on_letters",
        HTTPStatus.CONFLICT if before else HTTPStatus.OK,
        here="Letters",
        plan=letters.plan(verb, wanted, found or (), previews or ()),
        why_not="" if may else refusal(rights.LETTERS),
        refusal=_sentence(before.refusal) if before else failed,
        reason=before.reason if before else "",
    )


@router.get("/orders/{order_id}/{action}")
async def plan(request: Request, order_id: Id, action: str, visitor: TheVisitor, shop: TheShop) -> Response:
    """What would be done, before it is."""
    return await _planned(request, order_id, action, visitor, shop)


@router.post("/orders/{order_id}/{action}")
async def act(
    request: Request, order_id: Id, action: str, form: TheForm, visitor: TheVisitor, shop: TheShop
) -> Response:
    services: Services = request.app.state.services
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
        refusal=_sentence(before.refusal) if before else failed,
        reason=before.reason if before else "",
        key=str(uuid.uuid4()),
    )


def _known(action: str) -> None:
    if action not in rights.NEEDS:
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _offer(told: Explanation | None, action: str, visitor: Visitor) -> Offer | None:
    found = rights.offers(visitor.user, told.actions if told else ())
    return next((each for each in found if each.name == action), None)


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.decode(text)
    except ValueError:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "This page of the list is none.") from None
