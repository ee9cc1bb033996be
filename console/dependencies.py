"""What the pages' routes ask for, as FastAPI's dependencies: who it is, a form of theirs, what is read."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Query, Request

from console import browsers
from console.checking import Checks
from console.letters import Wanted
from console.reading import Shop
from console.services import Services
from console.visitors import Door, NotOurs, NotSignedIn, Visitor
from console.work import Jobs
from services.gateway.callers import client_address
from services.shared.database.store import Store

Text = Annotated[str, Query(max_length=320)]


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
    id_: Annotated[str, Query(alias="id", max_length=320)] = "",
) -> Wanted:
    return Wanted(queue, kind, type_, text.strip(), id_)


TheShop = Annotated[Shop, Depends(_shop)]
TheJobs = Annotated[Jobs, Depends(_jobs)]
TheChecks = Annotated[Checks, Depends(_checks)]
# The console's own.
TheStore = Annotated[Store, Depends(_store)]
TheDoor = Annotated[Door, Depends(_door)]
TheServices = Annotated[Services, Depends(_services)]
TheWanted = Annotated[Wanted, Depends(_wanted)]
