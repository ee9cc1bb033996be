"""Letters with a real auth service and a real mail server: each is sent once, to whom it is owed; an address
is verified, a password replaced, nobody found out.
"""

import asyncio
import os
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any, Final

import httpx
import pyotp
import pytest
import pytest_asyncio

from sagactl.polling import until
from services.auth.letters import ACCOUNT_WITHIN, Kind
from services.auth.main import make_app
from services.auth.settings import AuthSettings
from services.shared.database.trail import COLLECTION, database_of
from tests.integration.mailserver import MailServer, mail_server
from tests.integration.room import PATIENCE, Room, running
from tests.ports import free_port

pytestmark = pytest.mark.without_broker
ADA = {"email": "ada@x.example", "password": "correct horse"}
BOB = {"email": "bob@x.example", "password": "correct horse"}
NOBODY = "eve@x.example"
NEW = "another horse"
SHOP: Final = "Tea & Cups <orders@tea.example>"
SUBJECTS: Final[Mapping[Kind, str]] = {
    Kind.VERIFY: "Confirm your e-mail address",
    Kind.RESET: "Set a new password",
}
# aiosmtpd's.
SERVERS_LOG: Final = "mail.log"
TOKEN: Final = re.compile(r"[0-9a-f-]{36}\.[A-Za-z0-9_-]{43}")


class Letters:
    """What comes to the mailboxes of customers, each read once."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self._read: Counter[str] = Counter()

    async def next(self, kind: Kind, email: str = ADA["email"]) -> EmailMessage:
        def unread() -> list[EmailMessage]:
            return [mail for mail in self.server.to(email) if mail["Subject"] == SUBJECTS[kind]][
                self._read[f"{kind} {email}"] :
            ]

        async def come() -> bool:
            return bool(unread())

        await until(come, within=PATIENCE, what=f"a letter to {kind}")
        found = unread()[0]
        self._read[f"{kind} {email}"] += 1
        return found

    async def token(self, kind: Kind, email: str = ADA["email"]) -> str:
        return token_in(await self.next(kind, email))


def token_in(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    (found,) = TOKEN.findall(body.get_content())
    return str(found)


def settings_for(room: Room, server: MailServer | None, **changes: Any) -> AuthSettings:
    return AuthSettings(**given_for(room, server) | changes)


def given_for(room: Room, server: MailServer | None) -> dict[str, Any]:
    sends = {} if server is None else {"smtp_url": f"smtp://127.0.0.1:{server.port}", "mail_from": SHOP}
    return room.settings("auth") | sends


@pytest_asyncio.fixture
async def post() -> AsyncIterator[Letters]:
    async with mail_server() as server:
        yield Letters(server)


@pytest_asyncio.fixture
async def client(room: Room, post: Letters) -> AsyncIterator[httpx.AsyncClient]:
    """A shop that sends mail, and Ada's account."""
    async with running(make_app(settings_for(room, post.server))) as client:
        await register(client, ADA)
        yield client


async def register(client: httpx.AsyncClient, who: Mapping[str, str], language: str = "en") -> None:
    headers = {"Accept-Language": language}
    answer = await client.post("/auth/register", json={**who, "name": "Ada"}, headers=headers)
    assert answer.status_code == 201


async def asked_for_reset(client: httpx.AsyncClient, post: Letters) -> str:
    assert (await client.post("/auth/reset", json={"email": ADA["email"]})).status_code == 202
    return await post.token(Kind.RESET)


async def confirm(client: httpx.AsyncClient, token: str, new: str = NEW) -> httpx.Response:
    return await client.post("/auth/reset/confirm", json={"token": token, "newPassword": new})


async def log_in(client: httpx.AsyncClient, password: str = ADA["password"]) -> httpx.Response:
    return await client.post("/auth/login", json=ADA | {"password": password})


async def is_verified(client: httpx.AsyncClient, login: dict[str, str] = ADA) -> bool:
    token = (await client.post("/auth/login", json=login)).json()["accessToken"]
    me = await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    verified: bool = me.json()["verified"]
    return verified


async def test_an_address_is_verified_by_the_letter_of_the_registration(
    client: httpx.AsyncClient, post: Letters
) -> None:
    await register(client, BOB)
    assert await is_verified(client, BOB) is False
    token = await post.token(Kind.VERIFY, BOB["email"])
    answers = await asyncio.gather(*(client.post("/auth/verify", json={"token": token}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [204] + 4 * [422]
    assert await is_verified(client, BOB) is True
    assert await is_verified(client) is False, "another's is not"


async def test_letters_go_to_the_address_that_was_typed_and_to_no_other_that_is_compared_alike(
    client: httpx.AsyncClient, post: Letters
) -> None:
    await register(client, {"email": "Bob@Stra\xdfe.example", "password": BOB["password"]})
    mailbox = "Bob@xn--strae-oqa.example"
    assert await post.next(Kind.VERIFY, mailbox)
    assert (await client.post("/auth/reset", json={"email": "bob@strasse.example"})).status_code == 202
    assert await post.next(Kind.RESET, mailbox)
    assert set(post.server.named) == {ADA["email"], mailbox}


async def test_another_letter_verifies_it_too(client: httpx.AsyncClient, post: Letters) -> None:
    tokens = [await post.token(Kind.VERIFY)]
    for _ in range(2):
        asked = await client.post("/auth/verify/resend", json={"email": " ADA@x.example"})
        assert (asked.status_code, asked.content) == (202, b"")
        tokens.append(await post.token(Kind.VERIFY))
    assert len({*tokens}) == 3
    assert (await client.post("/auth/verify", json={"token": tokens[1]})).status_code == 204
    left = await client.post("/auth/verify", json={"token": tokens[0]})
    assert (left.status_code, left.json()["code"]) == (422, "mail-token-refused")


async def test_a_forgotten_password_is_replaced_and_all_logins_end(
    client: httpx.AsyncClient, post: Letters
) -> None:
    before = (await log_in(client)).json()
    token = await asked_for_reset(client, post)
    assert (await confirm(client, token)).status_code == 204
    assert (await log_in(client)).status_code == 401
    assert (await log_in(client, NEW)).status_code == 200
    ended = await client.post("/auth/refresh", json={"refreshToken": before["refreshToken"]})
    assert ended.status_code == 401
    assert await is_verified(client, ADA | {"password": NEW}) is True, (
        "whoever read the letter has the address"
    )


async def test_a_token_works_once_even_for_many_at_once(client: httpx.AsyncClient, post: Letters) -> None:
    token = await asked_for_reset(client, post)
    passwords = [f"password number {number}" for number in range(5)]
    answers = await asyncio.gather(*(confirm(client, token, new) for new in passwords))
    assert sorted(answer.status_code for answer in answers) == [204] + 4 * [422]
    winner = next(new for new, answer in zip(passwords, answers, strict=True) if answer.is_success)
    assert (await log_in(client, winner)).status_code == 200


async def test_a_weak_password_is_refused_and_the_token_still_works(
    client: httpx.AsyncClient, post: Letters
) -> None:
    token = await asked_for_reset(client, post)
    weak = await confirm(client, token, "short")
    assert (weak.status_code, weak.json()["errors"][0]["field"]) == (422, "newPassword")
    assert (await confirm(client, token)).status_code == 204


async def test_a_changed_password_voids_the_letters_that_were_asked_for_before(
    client: httpx.AsyncClient, post: Letters
) -> None:
    first, second = await asked_for_reset(client, post), await asked_for_reset(client, post)
    assert (await confirm(client, second)).status_code == 204
    assert (await confirm(client, first, "a third horse")).json()["code"] == "mail-token-refused"


async def test_an_expired_token_is_refused_before_the_database_forgets_it(
    client: httpx.AsyncClient, room: Room, post: Letters
) -> None:
    token = await asked_for_reset(client, post)
    letters = room.database("auth")["letters"]
    await letters.update_many({}, {"$set": {"expiresAt": datetime.now(UTC) - timedelta(seconds=1)}})
    assert (await confirm(client, token)).status_code == 422
    assert (await letters.index_information())["expiresAt_1"]["expireAfterSeconds"] == 0


@pytest.mark.parametrize("token", ["x", "x.y", ".", "\x00.", "a" * 256])
async def test_what_is_no_token_is_refused(client: httpx.AsyncClient, token: str) -> None:
    assert (await confirm(client, token)).json()["code"] == "mail-token-refused"
    assert (await client.post("/auth/verify", json={"token": token})).json()["code"] == "mail-token-refused"


async def with_second_factor(client: httpx.AsyncClient) -> None:
    session = (await log_in(client)).json()
    client.headers["Authorization"] = f"Bearer {session['accessToken']}"
    begun = await client.post("/auth/totp/enrol", json={"currentPassword": ADA["password"]})
    secret = re.search("secret=([A-Z2-7]+)", begun.json()["otpauthUri"])
    assert secret is not None
    code = pyotp.TOTP(secret[1]).now()
    assert (await client.post("/auth/totp/confirm", json={"code": code})).status_code == 200


async def test_a_second_factor_outlives_the_password(client: httpx.AsyncClient, post: Letters) -> None:
    assert (
        await client.post("/auth/verify", json={"token": await post.token(Kind.VERIFY)})
    ).status_code == 204
    await with_second_factor(client)
    assert (await confirm(client, await asked_for_reset(client, post))).status_code == 204
    assert (await log_in(client, NEW)).json()["code"] == "totp-required"


async def test_whoever_registered_anothers_address_does_not_lock_them_out_by_a_second_factor(
    client: httpx.AsyncClient, room: Room, post: Letters
) -> None:
    await with_second_factor(client)
    assert (await confirm(client, await asked_for_reset(client, post))).status_code == 204
    assert await is_verified(client, ADA | {"password": NEW}) is True
    trail = room.mongodb[database_of(room.database_name("auth"))][COLLECTION]
    told = [entry["action"] async for entry in trail.find().sort("at")]
    assert told[-3:] == ["password.reset", "second-factor.ended", "login"]


async def test_no_answer_and_no_row_but_its_account_tells_whether_there_is_one(
    client: httpx.AsyncClient, room: Room
) -> None:
    for path in ("/auth/reset", "/auth/verify/resend"):
        known = await client.post(path, json={"email": ADA["email"]})
        unknown = await client.post(path, json={"email": NOBODY})
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
        assert known.headers.keys() == unknown.headers.keys()
    stored = [letter async for letter in room.database("auth")["letters"].find()]
    assert len(stored) == 5, "one of the registration, and two for each address"
    assert NOBODY not in str(stored)


async def test_it_takes_as_long_for_an_address_that_has_no_account(
    client: httpx.AsyncClient, room: Room
) -> None:
    """By the median of many, one of each in turn, as a stranger would compare them.

    What takes longer shows every time; what the machine does beside, not three times in a row.
    """
    ratios: list[float] = []
    while len(ratios) < 3:
        took: dict[str, list[float]] = {ADA["email"]: [], NOBODY: []}
        for _ in range(40):
            for email, times in took.items():
                await room.database("auth")["guesses"].delete_many({})
                begun = time.perf_counter()
                assert (await client.post("/auth/reset", json={"email": email})).status_code == 202
                times.append(time.perf_counter() - begun)
        known, unknown = map(statistics.median, took.values())
        ratios.append(known / unknown)
        if 0.7 < ratios[-1] < 1.4:
            return
    pytest.fail(f"known to unknown: {ratios}")


@pytest.mark.parametrize("path", ["/auth/reset", "/auth/verify/resend"])
@pytest.mark.parametrize("email", [ADA["email"], NOBODY])
async def test_an_address_is_sent_few_letters_and_which_address_does_not_matter(
    client: httpx.AsyncClient, path: str, email: str
) -> None:
    answers = [await client.post(path, json={"email": email}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert int(answers[3].headers["retry-after"]) > 1000


# --- what becomes of a letter -----------------------------------------------------------------------------


class Rows:
    """What auth's database says of its letters."""

    def __init__(self, room: Room) -> None:
        self._letters = room.database("auth")["letters"]

    async def all(self) -> list[dict[str, Any]]:
        return [letter async for letter in self._letters.find().sort("createdAt")]

    async def become(self, *states: str) -> list[dict[str, Any]]:
        """All of them, in the order in which they were asked for, or all the same one."""

        async def look() -> list[dict[str, Any]]:
            return await self.all()

        def as_said(rows: list[dict[str, Any]]) -> bool:
            found = [row["state"] for row in rows]
            return found == list(states) or (len(states) == 1 and {*found} == {*states})

        return await until(look, as_said, within=PATIENCE, what=f"letters that are {states}")

    async def change(self, **values: Any) -> None:
        await self._letters.update_many({}, {"$set": values})


@pytest.fixture
def rows(room: Room) -> Rows:
    return Rows(room)


async def owed_before_mail_was_sent(room: Room) -> None:
    """A shop without a mail server, in which Ada registered and forgot her password."""
    async with running(make_app(settings_for(room, None))) as client:
        await register(client, ADA)
        assert (await client.post("/auth/reset", json={"email": ADA["email"]})).status_code == 202


async def test_without_a_mail_server_letters_wait_until_there_is_one_or_they_expire(
    room: Room, rows: Rows, post: Letters, capsys: pytest.CaptureFixture[str]
) -> None:
    await owed_before_mail_was_sent(room)
    assert "no mail is sent: there is no SMTP_URL" in capsys.readouterr().out
    assert [(row["state"], row["tries"]) for row in await rows.all()] == 2 * [("WAITING", 0)]
    async with running(make_app(settings_for(room, post.server))):
        await rows.become("SENT")
    assert len(post.server.to(ADA["email"])) == 2


async def test_a_letter_or_an_account_of_a_later_release_keeps_nobody_from_theirs(
    room: Room, rows: Rows, post: Letters
) -> None:
    await owed_before_mail_was_sent(room)
    first, _ = await rows.all()
    database = room.database("auth")
    await database["letters"].update_one({"_id": first["_id"]}, {"$set": {"kind": "of a later release"}})
    odd = {"_id": "odd", "email": "boss@x.example", "roles": ["admin"], "totp": {"secret": "0:sealed"}}
    await database["users"].insert_one(odd)
    async with running(make_app(settings_for(room, post.server))) as client:
        assert await post.next(Kind.RESET)
        await rows.become("WAITING", "SENT")
        assert (await log_in(client)).status_code == 200


async def test_several_replicas_send_each_letter_once(room: Room, rows: Rows, post: Letters) -> None:
    people = [{"email": f"c{number}@customer.example", "password": ADA["password"]} for number in range(12)]
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(running(make_app(settings_for(room, post.server))))
            for _ in range(3)
        ]
        await asyncio.gather(
            *(register(replicas[number % 3], person) for number, person in enumerate(people))
        )
        sent = await rows.become("SENT")
    assert Counter(str(mail["To"]) for mail in post.server.mails) == Counter(each["email"] for each in people)
    assert len({row["_id"] for row in sent}) == len(people)


@asynccontextmanager
async def killed_in_the_end(room: Room, server: MailServer) -> AsyncIterator[httpx.AsyncClient]:
    """The service as a process of its own: nothing of it comes to an end in good order."""
    given = given_for(room, server) | {"host": "127.0.0.1", "port": free_port()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.auth.main"),
        env=os.environ | {name.upper(): str(value) for name, value in given.items()},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{given['port']}") as client:

            async def ready() -> bool:
                with suppress(httpx.TransportError):
                    return (await client.get("/readyz")).is_success
                return False

            await until(ready, within=PATIENCE, what="the process to be ready")
            yield client
    finally:
        process.kill()
        await process.wait()


async def test_a_replica_that_is_killed_before_it_hears_the_answer_leaves_its_letter_to_another(
    room: Room, rows: Rows, post: Letters
) -> None:
    """It is sent twice: the same mail, whose token works."""
    lost = {"email": "lost@customer.example", "password": ADA["password"]}
    async with killed_in_the_end(room, post.server) as client:
        await register(client, lost)
        first = await post.next(Kind.VERIFY, lost["email"])
    (row,) = await rows.all()
    assert row["state"] == "WAITING", "nobody could mark it"
    async with running(make_app(settings_for(room, post.server))) as client:
        await rows.change(due=datetime.now(UTC))  # the lease of the dead one is over
        second = await post.next(Kind.VERIFY, lost["email"])
        await rows.become("SENT")
        assert second.as_bytes() == first.as_bytes()
        verified = await client.post("/auth/verify", json={"token": token_in(first)})
        assert verified.status_code == 204
        assert await is_verified(client, lost) is True


async def test_a_mailbox_that_hangs_holds_up_no_other(room: Room, rows: Rows, post: Letters) -> None:
    """Two connections, and each of a dozen letters that hang would have one for 45 s."""
    slow = {"smtp_connections": 2, "smtp_timeout_seconds": 45}
    async with running(make_app(settings_for(room, post.server, **slow))) as client:
        for number in range(12):
            await register(client, {"email": f"tarpit+{number}@slow.example", "password": ADA["password"]})
        await register(client, ADA)
        await post.next(Kind.VERIFY)
    assert {row["state"] for row in (await rows.all())[:12]} == {"WAITING"}


async def test_a_mailbox_that_is_refused_for_good_is_asked_once_and_named_nowhere(
    room: Room, rows: Rows, post: Letters, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = {"email": "nobody@customer.example", "password": ADA["password"]}
    async with running(make_app(settings_for(room, post.server))) as client:
        before = await counted(client, "failed")
        await register(client, nobody)
        (row,) = await rows.become("FAILED")
        assert await counted(client, "failed") == before + 1
    assert post.server.named == {nobody["email"]: 1}
    said = f"a letter to verify account {row['userId']} is refused: 550 5.1.1 <***>: no such user here"
    assert said in capsys.readouterr().out


async def counted(client: httpx.AsyncClient, result: str) -> float:
    """How many mails ended so."""
    name = f'sagashop_mail_duration_seconds_count{{result="{result}"}} '
    lines = (await client.get("/metrics")).text.splitlines()
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


@pytest.mark.parametrize("name", ["busy", "policy"])
async def test_what_the_server_may_take_later_is_sent_again(
    name: str, room: Room, rows: Rows, post: Letters
) -> None:
    who = {"email": f"{name}@customer.example", "password": ADA["password"]}
    async with running(make_app(settings_for(room, post.server))) as client:
        await register(client, who)

        async def asked_again() -> bool:
            return post.server.named[who["email"]] >= 2

        await until(asked_again, within=PATIENCE, what="another try")
        (row,) = await rows.become("SENT" if name == "busy" else "WAITING")
    assert row["tries"] >= 2


async def test_a_server_that_is_away_gets_the_letter_when_it_is_back(room: Room, rows: Rows) -> None:
    away = MailServer(free_port())
    async with running(make_app(settings_for(room, away))) as client:
        await register(client, ADA)

        async def tried() -> bool:
            return [row["tries"] > 0 for row in await rows.all()] == [True]

        await until(tried, within=PATIENCE, what="a try")
        async with mail_server(port=away.port) as server:
            await rows.become("SENT")
            assert len(server.to(ADA["email"])) == 1


@pytest.mark.parametrize("what", ["disabled", "erased", "verified"])
async def test_what_is_over_before_it_was_sent_is_not_sent(
    what: str, room: Room, rows: Rows, post: Letters
) -> None:
    await owed_before_mail_was_sent(room)
    users = room.database("auth")["users"]
    match what:
        case "disabled":
            await users.update_one({}, {"$set": {"disabled": True}})
        case "erased":
            await users.delete_many({})
            await rows.change(createdAt=datetime.now(UTC) - ACCOUNT_WITHIN)
        case "verified":  # and all logins have ended since
            await users.update_one({}, {"$set": {"verified": True}, "$inc": {"epoch": 1}})
    async with running(make_app(settings_for(room, post.server))):
        await rows.become("VOID")
    assert post.server.sessions == []


async def test_a_letter_for_nobody_is_sent_to_nobody(
    client: httpx.AsyncClient, rows: Rows, post: Letters
) -> None:
    assert (await client.post("/auth/reset", json={"email": NOBODY})).status_code == 202
    await rows.become("SENT", "VOID")
    assert set(post.server.named) == {ADA["email"]}


async def test_a_letter_that_is_there_before_its_account_waits_for_it(
    room: Room, rows: Rows, post: Letters
) -> None:
    await owed_before_mail_was_sent(room)
    users = room.database("auth")["users"]
    ada = await users.find_one({})
    assert ada is not None
    await users.delete_many({})
    await rows.change(createdAt=datetime.now(UTC) + timedelta(hours=1))  # however long this takes
    async with running(make_app(settings_for(room, post.server))):

        async def looked_for() -> bool:
            return all(row["tries"] > 0 for row in await rows.all())

        await until(looked_for, within=PATIENCE, what="a try")
        await users.insert_one(ada)
        await rows.become("SENT")


# --- what is written, and where it is not -----------------------------------------------------------------


async def test_a_letter_is_in_the_language_of_who_asked_for_it(room: Room, post: Letters, rows: Rows) -> None:
    pages = {"verify_url": "https://tea.example/verify#{token}", "mail_locale": "de"}
    async with running(make_app(settings_for(room, post.server, **pages))) as client:
        await register(client, ADA, "de-AT,de;q=0.9,en;q=0.5")
        await register(client, BOB, "en-GB")
        await client.post("/auth/reset", json={"email": ADA["email"]}, headers={"Accept-Language": "fr"})
        await rows.become("SENT")
    found = {
        (str(mail["To"]), str(mail["Content-Language"])): str(mail["Subject"]) for mail in post.server.mails
    }
    assert found == {
        (ADA["email"], "de-AT"): "Bestätigen Sie Ihre E-Mail-Adresse",
        (BOB["email"], "en-GB"): "Confirm your e-mail address",
        (ADA["email"], "de"): "Setzen Sie ein neues Passwort",
    }
    (to_bob,) = post.server.to(BOB["email"])
    body = to_bob.get_body(("plain",))
    assert body is not None
    assert f"\nhttps://tea.example/verify#{token_in(to_bob)}\n" in body.get_content().replace("\r\n", "\n")


async def test_a_token_is_in_its_mail_and_nowhere_else(
    client: httpx.AsyncClient,
    room: Room,
    post: Letters,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    tokens = [await asked_for_reset(client, post), await post.token(Kind.VERIFY)]
    assert (await client.post("/auth/verify", json={"token": tokens[1]})).status_code == 204
    auth = room.database_name("auth")
    stored = [await everything_in(room, name) for name in (auth, database_of(auth))]
    assert (await confirm(client, tokens[0])).status_code == 204
    left = "".join([*stored, await everything_in(room, auth), *logged(caplog), *capsys.readouterr()])
    assert "password.reset" in left, "it is where one would look"
    for token in tokens:
        id_, _, secret = token.partition(".")
        assert secret not in left
        assert id_ in stored[0] or token == tokens[1], "its row is there until it is used"


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """By the service and what it works with: the mail server of the tests says what it hears."""
    return [record.getMessage() for record in caplog.records if record.name != SERVERS_LOG]


async def everything_in(room: Room, name: str) -> str:
    """All documents of a database, as text."""
    database = room.mongodb[name]
    names = await database.list_collection_names()
    return str([document for name in names async for document in database[name].find()])


async def test_no_address_is_logged(
    client: httpx.AsyncClient, post: Letters, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    token = await asked_for_reset(client, post)
    await confirm(client, token)
    await log_in(client)
    await log_in(client, NEW)
    assert [line for line in logged(caplog) if "password.reset" in line]
    assert not [line for line in logged(caplog) if ADA["email"] in line]
