"""The gateway's own pages: the merged description of the API, and the same for reading and trying."""

import asyncio
import json
import logging
from collections.abc import Collection
from typing import Final

import aiohttp
from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from services.gateway.openapi import Document, merge
from services.gateway.proxy import Gate
from services.gateway.upstream import Upstream
from services.shared.http.app import VERSION

DESCRIPTION: Final = "/openapi.json"
# What Swagger UI needs, and nothing else.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; connect-src 'self'; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net; img-src 'self' data: https:; frame-ancestors 'none'"
)
TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
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
    is_whole = len(documents) == len(upstreams)
    document = json.dumps(merge(documents, VERSION)).encode()
    return document, DESCRIBED_SECONDS if is_whole else INCOMPLETE_SECONDS


@router.get("/docs")
async def docs() -> Response:
    page = get_swagger_ui_html(openapi_url=DESCRIPTION, title="sagashop")
    page.headers["Content-Security-Policy"] = PAGE_POLICY
    return page


async def _of(upstream: Upstream) -> Document | None:
    try:
        async with upstream.session.get(upstream.url + DESCRIPTION, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            document: Document = await answer.json()
            return document
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        log.warning("the description leaves out %s: %s", upstream.service, error)
        return None
