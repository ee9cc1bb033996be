"""Stripe behind the gateway's interface: PaymentIntents, by the official library.

An intent is created unconfirmed under the charge's key, and then confirmed: so a void can create it, too, and
cancel it, after which no confirmation comes through. An intent that a card has refused is cancelled at once:
another try would be another charge.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import stripe

from services.payment.gateway import (
    About,
    Answer,
    Authorized,
    BadSignature,
    Captured,
    Charge,
    ChargeAnswer,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Heard,
    Kind,
    Pending,
    Refund,
    RefundAnswer,
    Refunded,
    RefundPending,
    RefundRefused,
    Status,
    Transaction,
    Voided,
)
from services.payment.signatures import verify
from services.payment.stripe_amounts import ours, theirs
from services.shared.contract.events import NextAction

SIGNATURE: Final = "stripe-signature"
# A little less than we wait for a call (effects.py), so that it is the library that says why.
TIMEOUT_SECONDS: Final = 9.0
REPLAYED: Final = "idempotent-replayed"
BROKEN: Final = "Stripe failed over this payment"
# It has been overtaken: by a void, by its own success.
UNEXPECTED_STATE: Final = "payment_intent_unexpected_state"
MISSING: Final = "resource_missing"
NOT_CONFIRMED: Final = frozenset({"requires_payment_method", "requires_confirmation"})
# Of what it has done so many are read into memory at a time, ...
MOST_AT_ONCE: Final = 2_000
# ... of a span of time that grows and shrinks with how much there is. It begins with this one, ...
FIRST_SPAN_SECONDS: Final = 86_400
# ... and ends where the time of neither clock may have come.
CLOCKS_SECONDS: Final = 86_400
# What it tells of by itself, by how its name begins.
TELLS: Final[Mapping[str, About]] = {
    "payment_intent.": About.CHARGE,
    "refund.": About.REFUND,
    "charge.refund.": About.REFUND,
    "charge.dispute.": About.DISPUTE,
}
STATUS_OF: Final[Mapping[type, Status]] = {
    Pending: Status.PENDING,
    Authorized: Status.AUTHORIZED,
    Captured: Status.CAPTURED,
    Declined: Status.DECLINED,
    Voided: Status.VOIDED,
    Refunded: Status.REFUNDED,
    RefundRefused: Status.REFUSED,
    RefundPending: Status.PENDING,
}
Result = TypeVar("Result")


class StripeGateway:
    """Implements `Gateway`. `url` is Stripe's own unless given."""

    def __init__(
        self,
        api_key: str,
        *,
        return_url: str,
        webhook_secrets: Sequence[str] = (),
        url: str = "",
        only_reads: bool = False,
        http: stripe.HTTPClient | None = None,
    ) -> None:
        # It believes the authorities that come with the library, whomever the shop believes otherwise.
        self._http = http or stripe.AIOHTTPClient(timeout=TIMEOUT_SECONDS)
        client = stripe.StripeClient(
            api_key,
            http_client=self._http,
            # What is not known is asked again by whoever has stored the intent.
            max_network_retries=0,
            base_addresses={"api": url} if url else {},
        )
        self._intents, self._refunds = client.v1.payment_intents, client.v1.refunds
        self._return_url, self._webhook_secrets = return_url, webhook_secrets
        self._only_reads = only_reads

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the library says no type of it

    # --- charges ----------------------------------------------------------------------------------------

    async def authorize(self, charge: Charge) -> ChargeAnswer:
        try:
            return await self._answer(await self._asked(charge, "manual"))
        except _NoIntent as error:
            return Declined("", str(error))

    async def capture(self, charge: Charge) -> ChargeAnswer:
        try:
            intent = await self._asked(charge, "automatic")
        except _NoIntent as error:
            return Declined("", str(error))
        if intent.status == "requires_capture":
            intent = await self._try(intent, self._intents.capture_async(intent.id))
        return await self._answer(intent)

    async def void(self, charge: Charge) -> ChargeAnswer:
        try:
            intent = await self._known(charge)
        except _NoIntent:
            return Voided()
        if intent.status not in {"canceled", "succeeded"}:
            intent = await self._try(intent, self._intents.cancel_async(intent.id))
        return await self._answer(intent)

    async def _asked(self, charge: Charge, capture_method: str) -> stripe.PaymentIntent:
        """The intent, confirmed once."""
        intent = await self._known(charge)
        if not _is_idle(intent):
            return intent
        if charge.token is None:
            return await self._try(intent, self._intents.cancel_async(intent.id))
        params: Any = {
            **_payment_method(charge.token),
            "capture_method": capture_method,
            "return_url": self._return_url,
        }
        options: Any = {"idempotency_key": f"{charge.key}:confirm"}
        return await self._try(intent, self._intents.confirm_async(intent.id, params, options))

    async def _known(self, charge: Charge) -> stripe.PaymentIntent:
        """As it is now; created where it is not there yet. Raises _NoIntent, whoever asks for it again."""
        if charge.reference:
            return await _heard(self._intents.retrieve_async(charge.reference))
        try:
            amount = theirs(charge.amount, charge.currency)
        except ValueError as error:
            raise _NoIntent(str(error)) from error
        params: Any = {
            "amount": amount,
            "currency": charge.currency.lower(),
            "metadata": {"key": charge.key, "order_id": charge.order_id},
        }
        options: Any = {"idempotency_key": charge.key}
        try:
            intent = await _answered(self._intents.create_async(params, options))
        except stripe.InvalidRequestError as error:
            raise _NoIntent(error.user_message or str(error)) from error
        except GatewayUnavailable as error:
            if _is_broken_for_good(error):
                raise _NoIntent(BROKEN) from error
            raise
        return await self._as_it_is_now(intent)

    async def _as_it_is_now(self, intent: stripe.PaymentIntent) -> stripe.PaymentIntent:
        """A key asked with again is answered as it was the first time."""
        if not _is_replayed(intent):
            return intent
        return await _heard(self._intents.retrieve_async(intent.id))

    async def _try(
        self, intent: stripe.PaymentIntent, call: Awaitable[stripe.PaymentIntent]
    ) -> stripe.PaymentIntent:
        """What becomes of the intent, where a card may refuse, or others may have been faster."""
        try:
            return await self._as_it_is_now(await _answered(call))
        except stripe.CardError:
            pass
        except GatewayUnavailable as error:
            if not _is_broken_for_good(error):
                raise
            there = await _heard(self._intents.retrieve_async(intent.id))
            return await _heard(self._intents.cancel_async(there.id)) if _is_idle(there) else there
        except stripe.InvalidRequestError as error:
            if error.code != UNEXPECTED_STATE and not (error.param or "").startswith("payment_method"):
                raise GatewayRefused(str(error)) from error
            if error.code != UNEXPECTED_STATE:
                return await _heard(self._intents.cancel_async(intent.id))
        return await _heard(self._intents.retrieve_async(intent.id))

    async def _answer(self, intent: stripe.PaymentIntent) -> ChargeAnswer:
        refused = intent.status == "requires_payment_method" and intent.last_payment_error
        if refused and not self._only_reads:
            intent = await self._try(intent, self._intents.cancel_async(intent.id))
        return _answer(intent)

    # --- refunds ----------------------------------------------------------------------------------------

    async def refund(self, refund: Refund) -> RefundAnswer:
        try:
            amount = theirs(refund.amount, refund.currency)
        except ValueError as error:
            return RefundRefused(str(error))
        params: Any = {
            "payment_intent": refund.charge_reference,
            "amount": amount,
            "metadata": {"key": refund.key, "order_id": refund.order_id},
        }
        options: Any = {"idempotency_key": refund.key}
        try:
            made = await _answered(self._refunds.create_async(params, options))
        except stripe.CardError as error:
            return RefundRefused(error.user_message or str(error))
        except stripe.InvalidRequestError as error:
            raise GatewayRefused(str(error)) from error
        if _is_replayed(made):
            made = await _heard(self._refunds.retrieve_async(made.id))
        return _refund_answer(made)

    # --- what was done ----------------------------------------------------------------------------------

    async def lookup(self, key: str, reference: str = "") -> Answer | None:
        if not reference:
            query: Any = {"query": f"metadata['key']:'{key}'"}
            found = await _heard(self._intents.search_async(query))
            return await self._looked_up(found.data[0]) if found.data else None
        intent = await _heard(self._intents.retrieve_async(reference))
        if _said(intent, "key") == key:
            return await self._looked_up(intent)
        async for refund in self._refunds_of(reference):
            if _said(refund, "key") == key:
                return _refund_answer(refund)
        return None

    async def _looked_up(self, intent: stripe.PaymentIntent) -> Answer | None:
        """One that is not confirmed yet was not asked for anything."""
        if _is_idle(intent):
            return None
        return await self._answer(intent)

    async def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        """Span by span: Stripe lists the newest first, and all of it may be more than fits into memory."""
        begin, seconds = int(since.timestamp()), FIRST_SPAN_SECONDS
        while begin < time.time() + CLOCKS_SECONDS:
            done = await self._made(begin, begin + seconds)
            if len(done) > MOST_AT_ONCE and seconds > 1:
                seconds = max(1, seconds // 16)
                continue
            for each in sorted(done, key=lambda transaction: transaction.at):
                yield each
            begin += seconds
            if len(done) < MOST_AT_ONCE // 4:
                seconds *= 2

    async def _made(self, begin: int, end: int) -> Sequence[Transaction]:
        """From `begin` on and before `end` (seconds since 1970), in no order. More than MOST_AT_ONCE is more
        than is wanted, and is not read to its end, unless it is a second's.
        """
        params: Any = {"created": {"gte": begin, "lt": end}, "limit": 100}
        done: list[Transaction] = []
        for listing, told in ((self._intents.list_async, _charged), (self._refunds.list_async, _refunded)):
            pages: Any = await _heard(listing(params))
            async for made in _each(pages):
                if _said(made, "key"):
                    done.append(told(made))
                if len(done) > MOST_AT_ONCE and end - begin > 1:
                    return done
        return done

    async def made_for(self, order_id: str, reference: str = "") -> Sequence[Transaction]:
        """By its name, and by the order's in the metadata: there may be one that we know nothing of. Found by
        a search is what was made a minute ago or earlier.
        """
        query: Any = {"query": f"metadata['order_id']:'{order_id}'", "limit": 100}
        found = await _heard(self._intents.search_async(query))
        intents = {intent.id: intent async for intent in _each(found)}
        if reference and (named := await self._named(reference)) is not None:
            intents[reference] = named
        done = [_charged(intent) for intent in intents.values()]
        for id_ in intents:
            done += [_refunded(refund) async for refund in self._refunds_of(id_) if _said(refund, "key")]
        return sorted(done, key=lambda transaction: transaction.at)

    async def _named(self, reference: str) -> stripe.PaymentIntent | None:
        """None where Stripe has none of that name: another gateway gave it, or another account's."""
        try:
            return await _answered(self._intents.retrieve_async(reference))
        except stripe.InvalidRequestError as error:
            if error.code == MISSING:
                return None
            raise GatewayRefused(str(error)) from error

    async def _refunds_of(self, reference: str) -> AsyncIterator[stripe.Refund]:
        refunds = await _heard(self._refunds.list_async({"payment_intent": reference, "limit": 100}))
        async for refund in _each(refunds):
            yield refund

    async def hear(self, headers: Mapping[str, str], body: bytes) -> Heard | None:
        verify(headers.get(SIGNATURE, ""), body, self._webhook_secrets, time.time())
        try:
            event = json.loads(body)
            id_, type_, about = str(event["id"]), str(event["type"]), event["data"]["object"]
        except (ValueError, LookupError, TypeError) as error:
            raise BadSignature(f"this is no event: {error}") from error
        told = next((of for start, of in TELLS.items() if type_.startswith(start)), None)
        if told is None:
            return None
        order_id = await self._order_of(about)
        return Heard(id_, order_id, told) if order_id else None

    async def _order_of(self, about: Mapping[str, Any]) -> str | None:
        """As we have told Stripe; of a dispute its intent knows."""
        order_id = (about.get("metadata") or {}).get("order_id")
        if order_id is None and isinstance(reference := about.get("payment_intent"), str):
            order_id = _said(await _heard(self._intents.retrieve_async(reference)), "order_id")
        return order_id if isinstance(order_id, str) and order_id else None


def _payment_method(token: str) -> dict[str, object]:
    """Stripe.js makes either: a payment method, or a token of a card."""
    if token.startswith("tok_"):
        return {"payment_method_data": {"type": "card", "card": {"token": token}}}
    return {"payment_method": token}


class _NoIntent(Exception):  # a state of affairs
    """Stripe takes no such charge: it is too small, or in no currency of theirs. Nor will it later."""


async def _each(pages: Any) -> AsyncIterator[Any]:  # noqa: ANN401  # of a list or a search, whatever it has
    """Of all pages, each asked for when it is come to. Raises GatewayRefused and GatewayUnavailable."""
    rest = pages.auto_paging_iter()
    while (made := await _heard(anext(rest, None))) is not None:
        yield made


async def _heard(call: Awaitable[Result]) -> Result:
    """Raises GatewayRefused and GatewayUnavailable."""
    try:
        return await _answered(call)
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        raise GatewayRefused(str(error)) from error


async def _answered(call: Awaitable[Result]) -> Result:
    """Raises CardError and InvalidRequestError, which may be answers, GatewayRefused for a key that was used
    for something else, and GatewayUnavailable for the rest: our credentials may be wrong, and are put right.
    """
    try:
        return await call
    except (stripe.CardError, stripe.InvalidRequestError):
        raise
    except stripe.IdempotencyError as error:
        raise GatewayRefused(str(error)) from error
    except stripe.StripeError as error:
        raise GatewayUnavailable(str(error)) from error


def _said(made: stripe.PaymentIntent | stripe.Refund, name: str) -> str:
    """What we have told Stripe of it."""
    return str(getattr(made.metadata, name, "") or "")


def _is_idle(intent: stripe.PaymentIntent) -> bool:
    """Nothing was asked of a card yet."""
    return intent.status in NOT_CONFIRMED and not intent.last_payment_error


def _is_broken_for_good(error: GatewayUnavailable) -> bool:
    """Stripe answers what it answered the first time, its own failures, too: as long as it knows the key."""
    cause = error.__cause__
    headers = cause.headers if isinstance(cause, stripe.StripeError) else None
    return headers is not None and headers.get(REPLAYED) == "true"


def _is_replayed(made: stripe.StripeObject) -> bool:
    response = made.last_response
    return response is not None and response.headers.get(REPLAYED) == "true"


def _answer(intent: stripe.PaymentIntent) -> ChargeAnswer:
    error = intent.last_payment_error
    match intent.status:
        case "succeeded":
            return Captured(intent.id)
        case "requires_capture":
            return Authorized(intent.id)
        case "canceled" if error is not None:
            return Declined(intent.id, error.message or error.code or "declined")
        case "canceled":
            return Voided(intent.id)
        case _:
            return Pending(intent.id, _next_action(intent))


def _next_action(intent: stripe.PaymentIntent) -> NextAction | None:
    action = intent.next_action
    if action is None or action.redirect_to_url is None or action.redirect_to_url.url is None:
        return None
    return NextAction("redirect", action.redirect_to_url.url)


def _refund_answer(refund: stripe.Refund) -> RefundAnswer:
    match refund.status:
        case "succeeded":
            return Refunded(refund.id)
        case "failed" | "canceled":
            return RefundRefused(refund.failure_reason or refund.status)
        case _:
            return RefundPending()


def _charged(intent: stripe.PaymentIntent) -> Transaction:
    return _transaction(intent, Kind.CAPTURE, STATUS_OF[type(_answer(intent))])


def _refunded(refund: stripe.Refund) -> Transaction:
    return _transaction(refund, Kind.REFUND, STATUS_OF[type(_refund_answer(refund))])


def _transaction(made: stripe.PaymentIntent | stripe.Refund, kind: Kind, status: Status) -> Transaction:
    return Transaction(
        key=_said(made, "key"),
        order_id=_said(made, "order_id"),
        kind=kind,
        amount=ours(made.amount, made.currency.upper()),
        currency=made.currency.upper(),
        status=status,
        id=made.id,
        at=datetime.fromtimestamp(made.created, UTC),
    )
