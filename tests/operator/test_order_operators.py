"""The order service's side: whose token it is, and whether that one may compensate."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from kmock import KubernetesError, KubernetesScaffold, Request, Server
from kubernetes.aio.client import ApiClient, Configuration

from services.order import internal
from services.order.operators import BELIEVED_SECONDS, ReviewUnavailable, TokenReviewer
from services.shared.http import problems
from services.shared.http.auth import Forbidden, Tokens, Unauthenticated

AUDIENCE = "sagashop-order-internal"
OPERATOR = "system:serviceaccount:shop:shop-saga-operator"
OTHER = "system:serviceaccount:shop:curious"


@dataclass
class Reviews:
    """An API server that knows tokens: (subject, audiences they were made for)."""

    tokens: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    asked: int = 0
    status: int = 201
    knows_audiences: bool = True

    def answer(self, request: Request) -> dict[str, Any]:
        self.asked += 1
        if self.status != 201:
            raise KubernetesError(status=self.status)
        spec = request.data["spec"]
        subject, audiences = self.tokens.get(spec["token"], ("", ()))
        agreed = self._agreed(spec["audiences"], audiences)
        good = bool(subject) and (bool(agreed) or not self.knows_audiences)
        status = {"authenticated": good, "audiences": agreed, "user": {"username": subject}} if good else {}
        return {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": spec,
            "status": status,
        }

    def _agreed(self, asked: Iterable[str], audiences: tuple[str, ...]) -> list[str]:
        return [audience for audience in asked if audience in audiences] if self.knows_audiences else []


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def reviews() -> Reviews:
    return Reviews(
        {"good": (OPERATOR, (AUDIENCE,)), "other": (OTHER, (AUDIENCE,)), "api": (OPERATOR, ("api",))}
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def reviewer(reviews: Reviews, clock: Clock) -> AsyncIterator[TokenReviewer]:
    async with KubernetesScaffold() as api, Server(api):
        api["post /apis/authentication.k8s.io/v1/tokenreviews"] << reviews.answer
        reviewer = TokenReviewer(ApiClient(Configuration(host=str(api.url))), AUDIENCE, {OPERATOR}, clock)
        yield reviewer
        await reviewer.close()


async def test_an_operator_on_the_list_is_let_in(reviewer: TokenReviewer) -> None:
    assert await reviewer.authenticate("good") == OPERATOR


async def test_a_token_for_us_of_someone_else_is_not_allowed(reviewer: TokenReviewer) -> None:
    with pytest.raises(Forbidden, match="curious is not on the list"):
        await reviewer.authenticate("other")


@pytest.mark.parametrize("token", ["", "forged", "api"])
async def test_no_token_a_forged_one_and_one_for_another_audience_are_not_authenticated(
    reviewer: TokenReviewer, token: str
) -> None:
    with pytest.raises(Unauthenticated):
        await reviewer.authenticate(token)


async def test_a_reviewer_that_knows_no_audiences_is_not_believed(
    reviewer: TokenReviewer, reviews: Reviews
) -> None:
    reviews.knows_audiences = False
    with pytest.raises(Unauthenticated, match="audience"):
        await reviewer.authenticate("good")


async def test_a_good_answer_is_believed_for_a_while_and_not_longer(
    reviewer: TokenReviewer, reviews: Reviews, clock: Clock
) -> None:
    for _ in range(5):
        await reviewer.authenticate("good")
    assert reviews.asked == 1
    del reviews.tokens["good"]
    clock.now += BELIEVED_SECONDS
    with pytest.raises(Unauthenticated):
        await reviewer.authenticate("good")


async def test_a_refusal_is_not_remembered(reviewer: TokenReviewer, reviews: Reviews) -> None:
    with pytest.raises(Forbidden):
        await reviewer.authenticate("other")
    reviewer.subjects = {OTHER}
    assert await reviewer.authenticate("other") == OTHER
    assert reviews.asked == 2


async def test_an_api_server_that_refuses_or_is_away_is_no_verdict_on_the_token(
    reviewer: TokenReviewer, reviews: Reviews
) -> None:
    reviews.status = 403
    with pytest.raises(ReviewUnavailable, match="403"):
        await reviewer.authenticate("good")
    reviewer.client.configuration.host = "http://127.0.0.1:1"
    with pytest.raises(ReviewUnavailable, match="away"):
        await reviewer.authenticate("good")


async def test_a_known_token_works_while_the_api_server_is_away(
    reviewer: TokenReviewer, reviews: Reviews
) -> None:
    await reviewer.authenticate("good")
    reviews.status = 500
    assert await reviewer.authenticate("good") == OPERATOR


def test_no_token_shows_in_a_representation(reviewer: TokenReviewer) -> None:
    assert "good" not in repr(reviewer)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Basic Z29vZA==", 401),
        ("Bearer forged", 401),
        ("Bearer api", 401),
        ("Bearer other", 403),
    ],
)
async def test_the_admin_api_answers_as_the_review_went(
    reviewer: TokenReviewer, authorization: str | None, status: int
) -> None:
    assert await asked_with(reviewer, authorization) == status


async def test_the_admin_api_asks_for_patience_while_tokens_cannot_be_reviewed(
    reviewer: TokenReviewer, reviews: Reviews
) -> None:
    reviews.status = 500
    assert await asked_with(reviewer, "Bearer good") == 503


async def no_keys() -> bytes:
    raise AssertionError("these are no tokens of the shop's: nobody asks by which keys those are signed")


async def asked_with(reviewer: TokenReviewer, authorization: str | None) -> int:
    app = FastAPI()
    problems.install(app)
    app.include_router(internal.router)
    app.state.reviewer = reviewer
    app.state.tokens = Tokens(no_keys, "sagashop", "sagashop")
    headers = {} if authorization is None else {"Authorization": authorization}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://order") as client:
        return (await client.get("/internal/orders/stale", headers=headers)).status_code
