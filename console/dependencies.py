"""What the pages' routes ask for, as FastAPI's dependencies: who it is, a form of theirs, what is read."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, Query, Request
from pydantic import StringConstraints
from starlette.exceptions import HTTPException

from console import browsers, letters
from console.checking import Checks
from console.letters import Wanted
from console.orders import Show
from console.orders import Wanted as ThoseOrders
from console.reading import Shop
from console.samples import Samples
from console.services import Services
from console.visitors import Door, NotOurs, NotSignedIn, Visitor
from console.work import Jobs
from sagactl.wording import since as moment
from services.gateway.callers import client_address
from services.order.model import Status
from services.shared.database.store import Store

NO_TIME: Final = "{} is no time: write a duration such as 2h, or a date such as 2026-11-26T08:00."
Text = Annotated[str, Query(max_length=320)]
LetterId = Annotated[str, StringConstraints(max_length=320)]
TOO_MANY: Final = (
    f"At most {letters.CHOSEN_AT_MOST} letters can be selected one by one: choose all of a kind."
)


def id_of(request: Request) -> str:
    return request.cookies.get(browsers.cookie_name(insecure=request.app.state.insecure_cookie), "")


async def _visitor(request: Request) -> Visitor:
    door: Door = request.app.state.door
    id_ = id_of(request)
    if not id_:
        raise NotSignedIn
    visitor = await door.known(id_, _address(request))
    request.state.visitor = visitor
    return visitor


def _address(request: Request) -> str:
    """Where it comes from, as far as our own proxies tell: what the trail names, and guesses count by."""
    peer = request.client.host if request.client else ""
    said = ",".join(request.headers.getlist("x-forwarded-for"))
    return client_address(peer, said, request.app.state.trusted_proxies)


async def _form(request: Request) -> Mapping[str, str]:
    """Of a page of this origin. Raises NotOurs, NoForm."""
    if not browsers.is_from_us(request.headers):
        raise NotOurs
    return browsers.form_of(await request.body())


async def _form_of_theirs(
    request: Request, visitor: Annotated[Visitor, Depends(_visitor)]
) -> Mapping[str, str]:
    """Of a page of this session. Raises NotSignedIn, NotOurs, NoForm."""
    form = await _form(request)
    if not browsers.is_same(form.get("csrf", ""), visitor.session.csrf):
        raise NotOurs
    return form


TheVisitor = Annotated[Visitor, Depends(_visitor)]
# Where nobody is signed in yet.
AnyForm = Annotated[Mapping[str, str], Depends(_form)]
TheForm = Annotated[Mapping[str, str], Depends(_form_of_theirs)]
Address = Annotated[str, Depends(_address)]


async def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


async def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


async def _checks(request: Request) -> Checks:
    checks: Checks = request.app.state.checks
    return checks


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _wanted(
    queue: Text = "",
    kind: Text = "",
    type_: Annotated[str, Query(alias="type", max_length=320)] = "",
    text: Text = "",
    ids: Annotated[list[LetterId] | None, Query(alias=letters.ID)] = None,
) -> Wanted:
    """Raises HTTPException where more are chosen than there is room for."""
    if len(ids or ()) > letters.CHOSEN_AT_MOST:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, TOO_MANY)
    return Wanted(queue, kind, type_, text.strip(), letters.chosen(ids))


async def _orders(
    show: Show = Show.ALL, status: Status | None = None, since: Text = "", until: Text = ""
) -> ThoseOrders:
    """Raises HTTPException for what is no time."""
    return ThoseOrders(show, status, _time(since), _time(until))


def _time(text: str) -> datetime | None:
    try:
        return moment(text.strip()) if text.strip() else None
    except ValueError:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, NO_TIME.format(text)) from None


async def _samples(request: Request) -> Samples:
    samples: Samples = request.app.state.samples
    return samples


async def _jaeger(request: Request) -> str:
    jaeger: str = request.app.state.jaeger_url
    return jaeger


TheShop = Annotated[Shop, Depends(_shop)]
TheJobs = Annotated[Jobs, Depends(_jobs)]
TheChecks = Annotated[Checks, Depends(_checks)]
# The console's own.
TheStore = Annotated[Store, Depends(_store)]
TheDoor = Annotated[Door, Depends(_door)]
TheServices = Annotated[Services, Depends(_services)]
TheWanted = Annotated[Wanted, Depends(_wanted)]
TheOrders = Annotated[ThoseOrders, Depends(_orders)]
TheSamples = Annotated[Samples, Depends(_samples)]
# Where its pages are; empty where there are none.
TheJaeger = Annotated[str, Depends(_jaeger)]
