"""An authenticator app, and the one half minute in which all its codes are asked for."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest

from services.auth import totp
from services.auth.domain import Totp

NOW: Final = datetime.now(UTC)


class App:
    """On somebody's phone."""

    def __init__(self, uri: str) -> None:
        self.secret = parse_qs(urlsplit(uri).query)["secret"][0]

    def code(self, *, steps_from_now: int = 0) -> str:
        return str(pyotp.TOTP(self.secret).at(int(NOW.timestamp()) + totp.SECONDS * steps_from_now))


def stop_the_clock_of_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half minute that ended between a code and its check would make it another's."""
    with_code = totp.with_code

    def with_code_now(current: Totp, secret: str, code: str, _: datetime) -> Totp | None:
        return with_code(current, secret, code, NOW)

    monkeypatch.setattr(totp, "with_code", with_code_now)


async def with_second_factor(url: str, login: dict[str, str]) -> list[str]:
    """Its recovery codes, now that the account has one. `url`: of the auth service."""
    async with httpx.AsyncClient(base_url=url) as client:
        token = (await client.post("/auth/login", json=login)).json()["accessToken"]
        client.headers["Authorization"] = f"Bearer {token}"
        proof = {"currentPassword": login["password"]}
        begun = (await client.post("/auth/totp/enrol", json=proof)).json()
        secret = parse_qs(urlsplit(begun["otpauthUri"]).query)["secret"][0]
        code = pyotp.TOTP(secret).now()
        assert (await client.post("/auth/totp/confirm", json={"code": code})).status_code == 200
        codes: list[str] = begun["recoveryCodes"]
        return codes
