"""How all is done that changes something: by a right, for a reason, and once for its key.

A page has the plan, and a form of it asks for the act. Whatever keeps that from being done, its plan is shown
again, as it is by then, with why.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

from fastapi import Request, Response

from console import answers
from console.browsers import NoForm
from console.services import Refused
from console.visitors import Visitor
from sagactl.faults import fault
from services.shared.http.rights import Right

REASON_AT_LEAST: Final = 3
REASON_AT_MOST: Final = 200
NO_REASON: Final = f"a reason has {REASON_AT_LEAST} to {REASON_AT_MOST} characters"
OTHERS: Final = "They have changed in the meantime: check the plan again"
# Of forms, as pages make them.
KEYS: Final = re.compile(r"[0-9a-f-]{36}")
Found = TypeVar("Found")


class Refusal(NamedTuple):
    """Why a form was not carried out, and the reason that was typed into it. Empty: nobody has sent it."""

    says: str = ""
    reason: str = ""


class Signed(NamedTuple):
    """What every form says of itself."""

    reason: str
    # The same, if the form is sent twice.
    key: str


class Act(NamedTuple):
    right: Right
    # The page of the plan.
    plan: Callable[[Refusal], Awaitable[Response]]
    # Does it, and says which page follows. Raises Refused.
    do: Callable[[Signed], Awaitable[str]]


async def carry_out(act: Act, form: Mapping[str, str], visitor: Visitor) -> Response:
    """Raises NoForm, and what the plan's page does."""
    if not visitor.user.may(act.right):  # the plan says who may
        return await act.plan(Refusal())
    reason = form.get("reason", "").strip()
    try:
        return answers.to(await act.do(_signed(reason, form.get("key", ""))))
    except Refused as error:
        return await act.plan(Refusal(str(error), reason))


def _signed(reason: str, key: str) -> Signed:
    if not REASON_AT_LEAST <= len(reason) <= REASON_AT_MOST:
        raise Refused(NO_REASON)
    if not KEYS.fullmatch(key):
        raise NoForm("key")
    return Signed(reason, key)


async def answered(work: Awaitable[Found]) -> Found:
    """What it comes to. Raises Refused where a server does not answer: nothing is done then."""
    try:
        return await work
    except Exception as error:
        known = fault(error)
        if known is None:
            raise
        raise Refused(known.says) from error


def check_same(digest: str, form: Mapping[str, str]) -> None:
    """What is acted on is what the plan has shown; an empty digest is of nothing. Raises Refused."""
    if not digest or digest != form.get("expected"):
        raise Refused(OTHERS)


def plan_page(
    request: Request,
    name: str,
    refusal: Refusal,
    failed: str = "",
    *,
    now: datetime | None = None,
    **more: object,
) -> Response:
    """`failed`: why the plan, or some of it, cannot be told."""
    return answers.page(
        request,
        name,
        HTTPStatus.CONFLICT if refusal.says else HTTPStatus.OK,
        now=now,
        refusal=answers.sentence(refusal.says) if refusal.says else failed,
        failed=failed,
        reason=refusal.reason,
        key=str(uuid.uuid4()),
        **more,
    )
