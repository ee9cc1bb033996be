"""Who may call the routes for operators: administrators and the operator, each by who made the token."""

import base64
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from fastapi import Request

from services.order import internal
from services.shared.contract.audit import Actor, Kind
from services.shared.http.auth import Forbidden, User, claims_to_be_of
from services.shared.http.rights import ROLES, Role

OURS: Final = "sagashop"
CLUSTERS: Final = "https://kubernetes.default.svc"


def token(issuer: object) -> str:
    parts = ({"alg": "RS256"}, {"iss": issuer, "sub": "eve"})
    head, claims = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )
    return f"{head}.{claims}.signature"


@dataclass
class Tokens:
    role: Role = Role.ADMIN
    issuer: str = OURS
    asked: list[str | None] = field(default_factory=list)

    async def user(self, authorization: str | None) -> User:
        self.asked.append(authorization)
        return User(id="eve", email="eve@shop.example", rights=ROLES[self.role], roles=(self.role,))


@dataclass
class Reviewer:
    asked: list[str] = field(default_factory=list)

    async def authenticate(self, token: str) -> str:
        self.asked.append(token)
        return "system:serviceaccount:shop:operator"


async def operator(authorization: str | None, tokens: Tokens, reviewer: Reviewer | None) -> Actor:
    state = SimpleNamespace(tokens=tokens, reviewer=reviewer)
    request: Any = SimpleNamespace(app=SimpleNamespace(state=state))
    return await internal._operator(cast("Request", request), authorization)  # noqa: SLF001  # a dependency


@pytest.mark.parametrize("reviewer", [None, Reviewer()], ids=["elsewhere", "in a cluster"])
async def test_an_administrator_is_one_anywhere_by_a_token_of_the_shops(reviewer: Reviewer | None) -> None:
    tokens = Tokens()
    found = await operator(f"Bearer {token(OURS)}", tokens, reviewer)
    assert (found.id, found.kind) == ("eve", Kind.USER)
    assert tokens.asked == [f"Bearer {token(OURS)}"]
    assert reviewer is None or reviewer.asked == []


async def test_in_a_cluster_its_own_tokens_are_checked_by_the_cluster_alone() -> None:
    tokens, reviewer = Tokens(), Reviewer()
    found = await operator(f"Bearer {token(CLUSTERS)}", tokens, reviewer)
    assert found.kind is Kind.OPERATOR
    assert (tokens.asked, reviewer.asked) == ([], [token(CLUSTERS)])


@pytest.mark.parametrize("authorization", [None, "", "Basic x", "Bearer ", "Bearer x.y.z"])
async def test_what_is_no_token_of_the_shops_is_for_the_cluster_to_refuse(authorization: str | None) -> None:
    tokens, reviewer = Tokens(), Reviewer()
    await operator(authorization, tokens, reviewer)
    assert tokens.asked == []


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.VIEWER])
async def test_who_may_not_operate_may_not_in_a_cluster_either(role: Role) -> None:
    with pytest.raises(Forbidden):
        await operator(f"Bearer {token(OURS)}", Tokens(role), Reviewer())


@pytest.mark.parametrize("issuer", ["another", None, 7, [OURS], {"iss": OURS}])
def test_another_issuer_is_not_ours(issuer: object) -> None:
    assert not claims_to_be_of(OURS, token(issuer))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "a.W10.c", f"a.{'W' * 40_000}.c", "ä.ä.ä", "a.e30"])
def test_what_is_no_token_is_nobodys(text: str) -> None:
    assert not claims_to_be_of(OURS, text)
