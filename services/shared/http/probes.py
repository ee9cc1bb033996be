"""What machines ask every service: does it live, is it ready, what does it count."""

from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.shared.contract.codes import Code
from services.shared.health import Background
from services.shared.http.problems import problem

# A header: what release it is that answers.
VERSION: Final = "Sagashop-Version"
router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz(request: Request) -> Response:
    background: Background | None = getattr(request.app.state, "background", None)
    if background is not None and background.failure is not None:
        return problem(Code.INTERNAL_ERROR, background.failure)
    return Response("ok", media_type="text/plain")


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    readiness = await request.app.state.readiness()
    answer = (
        Response(readiness.detail, media_type="text/plain")
        if readiness.ready
        else problem(Code.UNAVAILABLE, readiness.detail)
    )
    answer.headers[VERSION] = request.app.version
    return answer


metrics_router = APIRouter(include_in_schema=False)


@metrics_router.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
