"""Pages to look at: each reads what it shows, and tells what could not be read."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Query, Request, Response
from starlette.exceptions import HTTPException

from console import (
    answers,
    checks,
    commands,
    explained,
    letters,
    mails,
    monitors,
    orders,
    queues,
    repairs,
    rights,
    standing,
    stuck,
    trail,
)
from console.cluster import NO_CLUSTER
from console.dependencies import (
    Text,
    TheChecks,
    TheJaeger,
    TheJobs,
    TheOrders,
    TheSamples,
    TheServices,
    TheShop,
    TheVisitor,
    TheWanted,
)
from console.jobs import page as job_page
from console.jobs import summary
from console.reading import DISCARDED_AT_MOST, READ_SECONDS, REST_SECONDS, ROWS, Read, Shop, tried
from console.visitors import Visitor
from sagactl.oncall.broker import QUEUES
from sagactl.oncall.explain.explanation import Verdict
from sagactl.oncall.trails import Told
from services.inventory.bodies import MOST_AT_ONCE
from services.shared.http.bodies import Id
from services.shared.http.cursors import LONGEST, Cursor
from services.shared.mail.writing import LANGUAGES

Found = TypeVar("Found")
router = APIRouter()
JOBS_AT_MOST: Final = 100
# What the next page says once something was done: by a word of ours, so that no address can say anything.
SAID: Final = {
    "cancel": "It was cancelled.",
    "refund": "Its refund was requested.",
    "compensate": "It was compensated.",
    "resend": "It is being sent again.",
    "restock": "It was restocked.",
    "sweep": "They were swept: the result is on the page of each order, and in the audit trail.",
}


@router.get("/")
async def now(
    request: Request, visitor: TheVisitor, shop: TheShop, services: TheServices, samples: TheSamples
) -> Response:
    found, probed, acts = await asyncio.gather(shop.status(), services.probed(), _last_acts(visitor, shop))
    return answers.page(
        request,
        "now",
        here="Now",
        now=found.at,
        page=standing.page(found, probed, samples.all),
        trail_rows=trail.rows(acts.found or ()),
        failed=acts.failed,
        why_not=rights.why_not(visitor.user, rights.TRAIL),
        commands=commands.NOW,
    )


async def _last_acts(visitor: Visitor, shop: Shop) -> Read[Sequence[Told]]:
    """Nothing for who may not see the trail."""
    return await tried(shop.last_acts()) if visitor.user.may(rights.TRAIL) else Read(())


@router.get("/orders")
async def list_orders(
    request: Request,
    _: TheVisitor,
    shop: TheShop,
    wanted: TheOrders,
    cursor: Annotated[str | None, Query(max_length=LONGEST)] = None,
) -> Response:
    found, failed = await tried(shop.orders(wanted, _cursor(cursor)))
    some, following = found or ((), None)
    told, blind = await tried(shop.verdicts(some))
    page = orders.page(some, told or {}, following, wanted, datetime.now(UTC))
    return answers.page(
        request,
        "orders",
        here="Orders",
        failed=failed,
        blind=blind,
        page=page,
        commands=tuple(commands.of_orders(wanted)),
    )


@router.get("/orders/{order_id}")
async def show_order(
    request: Request, order_id: Id, visitor: TheVisitor, shop: TheShop, jaeger: TheJaeger, done: str = ""
) -> Response:
    (seen, failed), trail_rows = await asyncio.gather(
        tried(shop.explained(order_id)), _trail_of(order_id, visitor, shop)
    )
    told, case = seen or (None, await _there(shop.case(order_id), REST_SECONDS))
    page = explained.page(told, case, visitor.user, jaeger, datetime.now(UTC))
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
        trail_rows=trail_rows,
        commands=tuple(commands.of_order(order_id)),
    )


@router.get("/orders/{order_id}/explain.json")
async def show_explanation(request: Request, order_id: Id, _: TheVisitor, shop: TheShop) -> Response:
    """As `sagactl explain -o json` prints it, without addresses of customers."""
    told = (await _there(shop.explained(order_id))).told
    nobody_knows = told.verdict is Verdict.UNKNOWN
    status = HTTPStatus.NOT_FOUND if nobody_knows else HTTPStatus.OK
    return answers.json(request, explained.as_json(told), status)


async def _trail_of(order_id: str, visitor: Visitor, shop: Shop) -> Sequence[trail.Row]:
    if not visitor.user.may(rights.TRAIL):
        return ()
    return trail.rows((await tried(shop.trail(trail.Wanted(subject=order_id)))).found or ())


@router.get("/letters")
async def list_letters(request: Request, visitor: TheVisitor, shop: TheShop, wanted: TheWanted) -> Response:
    found, failed = await tried(shop.letters())
    page = letters.page(found or (), wanted, QUEUES)
    return answers.page(
        request,
        "letters",
        here="Letters",
        failed=failed,
        page=page,
        why_not=rights.why_not(visitor.user, rights.LETTERS),
        commands=tuple(commands.of_letters(wanted)),
    )


@router.get("/letters/discarded")
async def list_discarded(request: Request, visitor: TheVisitor, shop: TheShop, wanted: TheWanted) -> Response:
    found, failed = await tried(shop.discarded(wanted.queue))
    kept, lasting = found or ((), None)
    return answers.page(
        request,
        "discarded",
        here="Letters",
        failed=failed,
        page=letters.discards(kept, wanted, QUEUES),
        days=lasting and lasting.days,
        at_most=DISCARDED_AT_MOST if len(kept) == DISCARDED_AT_MOST else None,
        why_not=rights.why_not(visitor.user, rights.LETTERS),
        commands=tuple(commands.of_discarded(wanted)),
    )


@router.get("/letter")
async def show_letter(
    request: Request,
    visitor: TheVisitor,
    shop: TheShop,
    jaeger: TheJaeger,
    queue: Text,
    id_: Annotated[str, Query(alias="id")],
) -> Response:
    found, failed = await tried(shop.letter(queue, id_))
    status = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
    if found is None and not failed:
        status = HTTPStatus.NOT_FOUND
        failed = f"There is no dead letter {id_} in {queue} any more."
    preview = (await tried(shop.preview(found))).found if found else None
    page = letters.one(found, preview, jaeger) if found else None
    why_not = rights.why_not(visitor.user, rights.LETTERS)
    return answers.page(
        request,
        "letter",
        status,
        here="Letters",
        id=id_,
        page=page,
        failed=failed,
        why_not=why_not,
        commands=tuple(commands.of_letter(queue, id_)) if page else (),
    )


@router.get("/products/{product_id}")
async def show_product(
    request: Request, product_id: Id, visitor: TheVisitor, shop: TheShop, done: str = ""
) -> Response:
    facts, changes = await _there(shop.product(product_id))
    return answers.page(
        request,
        "product",
        now=facts.at,
        page=facts,
        changes=changes,
        said=SAID.get(done, ""),
        why_not=rights.why_not(visitor.user, rights.STOCK),
        most=MOST_AT_ONCE,
        commands=tuple(commands.of_product(product_id)),
    )


@router.get("/orders/{order_id}/repair")
async def show_mending(request: Request, order_id: Id, _: TheVisitor, shop: TheShop) -> Response:
    found, failed = await tried(shop.mending(order_id))
    page = repairs.page(found) if found else None
    told = tuple(commands.of_repair(order_id, is_to_be_done=page is not None and bool(page.steps)))
    return answers.page(
        request, "repair", here="Orders", id=order_id, failed=failed, page=page, commands=told
    )


@router.get("/stuck")
async def show_stuck(request: Request, visitor: TheVisitor, shop: TheShop, done: str = "") -> Response:
    (found, failed), (watched, unwatched) = await asyncio.gather(tried(shop.stuck()), tried(shop.monitors()))
    orders_, at = found or ((), None)
    told, blind = await tried(shop.verdicts(orders_[:ROWS]))
    return answers.page(
        request,
        "stuck",
        here="Stuck",
        now=at,
        failed=failed,
        blind=blind,
        page=stuck.page(orders_, told or {}, at, ROWS) if at else None,
        said=SAID.get(done, ""),
        why_not=rights.why_not(visitor.user, rights.NEEDS["compensate"]),
        monitors=None if watched is None else [monitors.row(*each) for each in watched],
        unwatched=unwatched or (NO_CLUSTER if watched is None else ""),
        commands=(*commands.STUCK, *monitors.commands([each for each, _ in watched or ()])),
    )


@router.get("/queues")
async def show_queues(request: Request, _: TheVisitor, shop: TheShop) -> Response:
    found, letters_, (notes, failed) = await asyncio.gather(
        shop.status(), tried(shop.letters()), tried(shop.notes())
    )
    return answers.page(
        request,
        "queues",
        here="Queues",
        now=found.at,
        failed=failed if found.queues else "",
        page=queues.page(found, letters_.found or (), notes or {}),
        commands=commands.QUEUES,
    )


@router.get(checks.PATH)
async def show_check(request: Request, visitor: TheVisitor, kept: TheChecks) -> Response:
    found, failed = await tried(kept.latest())
    last, now = found or (checks.Kept(), datetime.now(UTC))
    return answers.page(
        request,
        "checks",
        here="Checks",
        now=now,
        failed=failed,
        kept=last,
        is_going=last.is_going(now),
        page=checks.page(last.done) if last.done else None,
        choices=checks.WITHIN,
        why_not=rights.why_not(visitor.user, rights.CHECK),
        commands=commands.CHECKS,
    )


@router.get("/mails")
async def list_mails(
    request: Request,
    visitor: TheVisitor,
    shop: TheShop,
    show: mails.Show = mails.Show.LATEST,
    done: str = "",
) -> Response:
    found, failed = await tried(shop.mails(mails.STATES.get(show)))
    return answers.page(
        request,
        "mails",
        here="Mails",
        failed=failed,
        page=mails.page(found or (), show),
        said=SAID.get(done, ""),
        why_not=rights.why_not(visitor.user, rights.MAILS),
        commands=tuple(commands.of_mails(show)),
    )


@router.get(mails.PREVIEW)
async def preview_mail(
    request: Request, _: TheVisitor, kind: Text = "", language: Text = LANGUAGES[0]
) -> Response:
    page = mails.preview(kind, language)
    if page is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return answers.page(request, "mail", here="Mails", page=page, commands=commands.EXAMPLES)


@router.get(mails.ALONE)
async def show_mail_alone(request: Request, _: TheVisitor, kind: Text, language: Text) -> Response:
    html = mails.html_of(kind, language)
    if html is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return answers.mail(request, html)


@router.get("/jobs")
async def list_jobs(request: Request, _: TheVisitor, jobs: TheJobs) -> Response:
    found, failed = await tried(jobs.latest(JOBS_AT_MOST))
    rows = [
        summary(each.job, each.by.actor, is_open=each.open, stopped_by=each.stopped_by)
        for each in found or ()
    ]
    return answers.page(request, "jobs", here="Jobs", failed=failed, rows=rows)


@router.get("/jobs/{job_id}")
async def show_job(request: Request, job_id: Id, visitor: TheVisitor, jobs: TheJobs) -> Response:
    found = await _there(jobs.get(job_id))
    page = job_page(
        found.job,
        found.by.actor,
        is_open=found.open,
        trouble=found.trouble,
        stopped_by=found.stopped_by,
        waits=jobs.waits_for_a_login(found),
    )
    why_not = rights.why_not(visitor.user, rights.of_job(found.job.verb))
    return answers.page(request, "job", here="Jobs", page=page, why_not=why_not)


@router.get("/trail")
async def show_trail(
    request: Request,
    visitor: TheVisitor,
    shop: TheShop,
    action: Text = "",
    actor: Text = "",
    subject: Text = "",
) -> Response:
    wanted = trail.Wanted(action, actor.strip(), subject.strip())
    if why_not := rights.why_not(visitor.user, rights.TRAIL):
        return answers.page(request, "trail", HTTPStatus.FORBIDDEN, here="Trail", page=None, why_not=why_not)
    found, failed = await tried(shop.trail(wanted))
    page = trail.page(found or (), wanted)
    return answers.page(
        request,
        "trail",
        here="Trail",
        failed=failed,
        page=page,
        why_not="",
        commands=tuple(commands.of_trail(wanted)),
    )


@router.get("/find")
async def find(request: Request, _: TheVisitor, shop: TheShop, q: Text) -> Response:
    found, failed = await shop.hits(q.strip())
    hits = [(each, commands.page_of(each.command)) for each in found or ()]
    match hits:
        case [(_, link)] if link:
            return answers.to(link)
    return answers.page(
        request, "found", q=q, hits=hits, failed=failed, commands=tuple(commands.of_search(q.strip()))
    )


def _cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.decode(text)
    except ValueError:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, "This page of the list does not exist."
        ) from None


async def _there(work: Awaitable[Found | None], within: float = READ_SECONDS) -> Found:
    """What a page is about. Raises HTTPException where there is none, or nobody can tell."""
    found, failed = await tried(work, within)
    if failed:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, failed)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found
