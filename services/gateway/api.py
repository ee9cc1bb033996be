"""The gateway's own pages: the merged description of the API, and the same for reading and trying."""

import asyncio
import logging
from typing import Final

import aiohttp
from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from services.gateway.openapi import Document, merge
from services.gateway.proxy import Gate
from services.gateway.upstream import Upstream
from services.shared.http.app import VERSION

DESCRIPTION: Final = "/openapi.json"
TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)


@router.get(DESCRIPTION)
async def description(request: Request) -> Document:
    """The description of all services that answer; the others are left out."""
    gate: Gate = request.app.state.gate
    upstreams = gate.upstreams.values()
    found = await asyncio.gather(*(_of(upstream) for upstream in upstreams))
    documents = {
        upstream.service: document
        for upstream, document in zip(upstreams, found, strict=True)
        if document is not None
    }
    return merge(documents, VERSION)


@router.get("/docs")
async def docs() -> Response:
    return get_swagger_ui_html(openapi_url=DESCRIPTION, title="sagashop")


async def _of(upstream: Upstream) -> Document | None:
    try:
        async with upstream.session.get(upstream.url + DESCRIPTION, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            document: Document = await answer.json()
            return document
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        log.warning("the description leaves out %s: %s", upstream.service, error)
        return None
