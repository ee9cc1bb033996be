"""One call of an endpoint, to a real receiver by TLS: where it goes, and where it does not."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from standardwebhooks import Webhook

from services.notification.caller import Caller
from services.notification.deliveries import Answer
from services.notification.signing import headers, shown
from tests.integration.receiver import Authority, Receiver, authority, receiving
from tests.ports import free_port

HERE = (ip_network("127.0.0.1/32"),)
SECRET = bytes(range(32))
BODY = b'{"a":1}'


class Names:
    """Says of each name what it is told to, one answer a look-up."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _: int) -> Sequence[str]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("Name or service not known")
        return found


@pytest.fixture(scope="module")
def believed() -> Iterator[Authority]:
    with authority() as found:
        yield found


@pytest.fixture
async def receiver(believed: Authority) -> AsyncIterator[Receiver]:
    async with receiving(believed.context) as found:
        yield found


async def call(
    url: str,
    believed: Authority,
    names: Names | None = None,
    *,
    seconds: float = 20,
    everywhere: bool = False,
) -> Answer:
    caller = Caller(() if everywhere else HERE, believed.file, names)
    try:
        return await caller.call(url, headers("id1", datetime.now(UTC), BODY, [SECRET]), BODY, seconds)
    finally:
        await caller.close()


async def test_what_arrives_is_what_was_signed(receiver: Receiver, believed: Authority) -> None:
    assert await call(receiver.url("/ok"), believed) == Answer(204)
    (came,) = receiver.calls
    Webhook(shown(SECRET)).verify(came.body, came.headers)
    assert came.headers["content-type"] == "application/cloudevents+json"
    assert (came.id, came.headers["user-agent"]) == ("id1", "sagashop-webhooks")
    assert "cookie" not in came.headers
    assert "authorization" not in came.headers


# --- where no call goes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_to_one_of_us_is_not_called(
    receiver: Receiver, believed: Authority, address: str
) -> None:
    names = Names([address])
    answer = await call(receiver.url("/ok", "merchant.example"), believed, names, everywhere=True)
    assert answer == Answer(None, f"{ip_address(address)} is no public address")
    assert receiver.connections == 0


async def test_nor_one_that_leads_elsewhere_beside(receiver: Receiver, believed: Authority) -> None:
    names = Names(["127.0.0.1", "10.0.0.1"])
    answer = await call(receiver.url("/ok", "merchant.example"), believed, names)
    assert answer.reason == "10.0.0.1 is no public address"
    assert receiver.connections == 0


async def test_a_name_is_looked_up_once_a_try_and_connected_to_where_that_led(
    receiver: Receiver, believed: Authority
) -> None:
    """DNS rebinding: who says something else the second time is not asked a second time."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    caller = Caller(HERE, believed.file, names)
    url = receiver.url("/ok", "merchant.example")
    try:
        assert (await caller.call(url, {}, BODY)).status == 204
        assert names.asked == ["merchant.example"]
        assert (await caller.call(url, {}, BODY)).reason == "10.0.0.1 is no public address"
        assert names.asked == ["merchant.example"] * 2
    finally:
        await caller.close()
    # The first call's connection was not used again either.
    assert receiver.connections == 1


async def test_whoever_is_there_has_to_have_the_name(receiver: Receiver, believed: Authority) -> None:
    answer = await call(receiver.url("/ok", "other.example"), believed, Names(["127.0.0.1"]))
    assert answer.status is None
    assert "certificate" in answer.reason.lower()
    assert receiver.calls == []


async def test_nor_is_somebody_believed_whom_nobody_vouches_for(receiver: Receiver) -> None:
    with authority("other.example") as others:
        answer = await call(receiver.url("/ok"), others)
    assert "certificate" in answer.reason.lower()
    assert receiver.calls == []


async def test_a_redirect_is_not_followed(receiver: Receiver, believed: Authority) -> None:
    answer = await call(receiver.url("/redirect"), believed)
    assert (answer.status, answer.reason) == (307, "307 Temporary Redirect")
    assert [came.path for came in receiver.calls] == ["/redirect"]


async def test_no_proxy_is_asked(
    receiver: Receiver, believed: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert (await call(receiver.url("/ok"), believed)).status == 204


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://merchant.example/", "give a URL that begins with https://"),
        ("https://127.0.0.1/", "127.0.0.1 is no public address"),
        ("https://[::1]/", "::1 is no public address"),
    ],
)
async def test_a_url_that_was_allowed_once_is_looked_at_again(
    believed: Authority, url: str, why: str
) -> None:
    names = Names(["127.0.0.1"])
    assert await call(url, believed, names, everywhere=True) == Answer(None, why)
    assert names.asked == []


# --- answers ----------------------------------------------------------------------------------------------


async def test_an_answer_is_not_waited_for_for_ever(receiver: Receiver, believed: Authority) -> None:
    answer = await call(receiver.url("/hang"), believed, seconds=0.3)
    assert answer == Answer(None, "no answer within 0.3 s")


async def test_what_an_answer_says_beside_is_not_read(receiver: Receiver, believed: Authority) -> None:
    assert (await call(receiver.url("/endless"), believed)).status == 200


async def test_a_receiver_may_ask_for_time(receiver: Receiver, believed: Authority) -> None:
    answer = await call(receiver.url("/429"), believed)
    assert answer == Answer(429, "429 Too Many Requests", timedelta(minutes=2))


async def test_nobody_there_is_no_answer(believed: Authority) -> None:
    answer = await call(f"https://127.0.0.1:{free_port()}/", believed)
    assert answer.status is None
    assert "connect" in answer.reason.lower()


async def test_a_name_that_is_nobodys_is_no_answer(believed: Authority) -> None:
    answer = await call("https://merchant.example/", believed, Names([]))
    assert answer.status is None
    assert "Name or service not known" in answer.reason


async def test_the_systems_resolver_is_asked_by_itself(receiver: Receiver, believed: Authority) -> None:
    caller = Caller((*HERE, ip_network("::1/128")), believed.file)
    try:
        assert (await caller.call(receiver.url("/ok", "localhost"), {}, BODY)).status == 204
    finally:
        await caller.close()
