"""Routes of the API: strict about parameters, and described with every problem that they may answer with."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Path, Query
from fastapi.routing import APIRoute

from services.shared.contract.codes import Code
from services.shared.http.dependencies import Holder, caller_of
from services.shared.http.described import codes_of, described
from services.shared.http.validation import OURS


class Route(APIRoute):
    """For every router of a service: `APIRouter(route_class=Route)`.

    A query parameter that is not known is an error, as an unknown field of a body is. Problems that do not
    follow from what a route asks for are said with it: `responses=described([Code.STATE_FORBIDS])`.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:  # noqa: ANN401  # FastAPI's
        super().__init__(path, endpoint, **given)
        codes = [*codes_of(self.responses), *self._problems()]
        self.responses = {**self.responses, **described(codes)}

    def _problems(self) -> Iterator[Code]:
        """Those that follow from what the route asks for."""
        asked = set(_calls(self.dependant))
        if caller_of in asked:
            yield from (Code.TOKEN_MISSING, Code.TOKEN_INVALID, Code.TOKEN_EXPIRED)
        if any(isinstance(call, Holder) for call in asked):
            yield Code.FORBIDDEN
        if any(isinstance(field.field_info, Path) for field in get_flat_params(self.dependant)):
            yield Code.NOT_FOUND
        if self.body_field is not None:
            yield from (Code.MALFORMED_JSON, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE)
        yield from (Code.INVALID, Code.UNAVAILABLE)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = {
            field.alias for field in get_flat_params(self.dependant) if isinstance(field.field_info, Query)
        }

        async def strictly(request: Request) -> Response:
            if request.scope["query_string"]:
                _check(request, known)
            return await handle(request)

        return strictly


def _calls(dependant: Dependant) -> Iterator[object]:
    for other in dependant.dependencies:
        yield other.call
        yield from _calls(other)


def _check(request: Request, known: set[str]) -> None:
    unknown = sorted(request.query_params.keys() - known)
    if unknown:
        allowed = f"the parameters are {', '.join(sorted(known))}" if known else "there are no parameters"
        raise RequestValidationError(
            [
                {"type": OURS, "loc": ("query", name), "msg": f"unknown parameter: {allowed}"}
                for name in unknown
            ]
        )
