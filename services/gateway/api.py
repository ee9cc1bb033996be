"""The gateway's own routes: the merged description of the API, and the pages that explain it."""

import asyncio
import json
import logging
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

import aiohttp
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.gateway import pages
from services.gateway.openapi import Document, merge
from services.gateway.proxy import Gate
from services.gateway.upstream import Upstream
from services.shared.http.app import VERSION
from services.shared.http.kinds import PAGE

DESCRIPTION: Final = "/openapi.json"
TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
# It takes a request to each service. Where one of them does not answer, it may in a moment.
DESCRIBED_SECONDS: Final = 60.0
INCOMPLETE_SECONDS: Final = 2.0
log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)


@router.get(DESCRIPTION)
async def description(request: Request) -> Response:
    gate: Gate = request.app.state.gate
    return Response(await gate.description.get(), media_type="application/json")


async def describe(upstreams: Collection[Upstream]) -> tuple[bytes, float]:
    """The description of all services that answer, and the seconds for which it holds."""
    found = await asyncio.gather(*(_of(upstream) for upstream in upstreams))
    documents = {
        upstream.service: document
        for upstream, document in zip(upstreams, found, strict=True)
        if document is not None
    }
    missing = {upstream.service for upstream in upstreams} - documents.keys()
    document = json.dumps(merge(documents, VERSION, missing), separators=(",", ":")).encode()
    return document, INCOMPLETE_SECONDS if missing else DESCRIBED_SECONDS


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/docs")


@router.get("/favicon.ico")
async def icon() -> Response:
    """Browsers ask for it, whatever they show."""
    return RedirectResponse(pages.ICON, HTTPStatus.PERMANENT_REDIRECT)


@router.get("/docs")
async def docs() -> Response:
    return pages.docs()


@router.get(PAGE)
async def errors() -> Response:
    """Where the `type` of a problem leads."""
    return pages.errors()


async def _of(upstream: Upstream) -> Document | None:
    try:
        async with upstream.session.get(upstream.url + DESCRIPTION, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            document: Document = await answer.json()
            return document
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        log.warning("the description leaves out %s: %s", upstream.service, error)
        return None
