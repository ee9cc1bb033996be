"""In and out; and what a browser remembers of how pages are to look."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from console import answers, browsers
from console.dependencies import Address, AnyForm, TheDoor, TheForm, TheVisitor
from console.services import Refused
from services.shared.http.answers import CAUSE

router = APIRouter()


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
        return answers.page(
            request, "signin", status, next=there, email=email, refusal=answers.sentence(str(error))
        )
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
