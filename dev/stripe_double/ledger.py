"""What the double knows: intents, refunds, keys, events. Pure, but for the time.

https://docs.stripe.com/api/payment_intents, .../refunds, .../idempotent_requests
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

Json = dict[str, Any]
# As Stripe's test payment methods: what a confirmation of them leads to.
VISA: Final = "pm_card_visa"
DECLINED: Final = "pm_card_chargeDeclined"
# The customer has to agree at their bank, and may not.
ACTION: Final = "pm_card_authenticationRequired"
ACTION_FAILS: Final = "pm_card_authenticationRequiredFails"
# Decided on in a while, as a bank debit is.
PROCESSING: Final = "pm_bank_debit"
PROCESSING_FAILS: Final = "pm_bank_debit_fails"
# Its refunds are decided on in a while; or fail the first time; or each time.
REFUND_PENDING: Final = "pm_card_pendingRefund"
REFUND_FAILS: Final = "pm_card_refundFail"
REFUND_NEVER: Final = "pm_card_refundNever"
FAILS: Final = frozenset({ACTION_FAILS, PROCESSING_FAILS})
CANCELLABLE: Final = frozenset(
    {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}
)
UNDECIDED: Final = frozenset({"requires_action", "processing"})
NOT_CONFIRMED: Final = frozenset({"requires_payment_method", "requires_confirmation"})
SMALLEST: Final = 50


class Answer(NamedTuple):
    status: int
    body: Json


class Refusal(Exception):
    """An error of Stripe's form."""

    def __init__(self, status: int, type_: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"error": {"type": type_, "message": message, **more}})


def fields(form: str) -> Json:
    """A form with names such as `metadata[key]`, as nested objects."""
    found: Json = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        first, *rest = re.split(r"\[|\]\[|\]", name.rstrip("]"))
        inner = found
        for part in rest:
            inner, first = inner.setdefault(first, {}), part
        inner[first] = value
    return found


@dataclass
class StripeLedger:
    """All that was ever asked for. Times are seconds since 1970."""

    now: Callable[[], float] = time.time
    intents: dict[str, Json] = field(default_factory=dict)
    refunds: dict[str, Json] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    # Idempotency key -> what it was asked with, and what it was answered.
    keys: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    # So long it takes until a search finds what was made (seconds).
    search_lag: float = 0

    # --- asked ------------------------------------------------------------------------------------------

    def post(self, path: str, form: str, key: str | None) -> tuple[Answer, bool]:
        """The answer, and whether it is that of before."""
        asked = f"{path}?{form}"
        if key is not None and key in self.keys:
            before, answer = self.keys[key]
            if before != asked:
                message = f"Keys for idempotent requests can only be used with the same parameters: {key}"
                return Refusal(HTTPStatus.BAD_REQUEST, "idempotency_error", message).answer, False
            return answer, True
        try:
            answer = Answer(HTTPStatus.OK, dict(self._posted(path, fields(form))))
        except Refusal as refusal:
            answer = refusal.answer
        if key is not None:
            self.keys[key] = asked, answer
        return answer, False

    def _posted(self, path: str, asked: Json) -> Json:
        match path.removeprefix("/v1/").split("/"):
            case ["payment_intents"]:
                return self._create(asked)
            case ["payment_intents", id_, "confirm"]:
                return self._confirm(self._intent(id_), asked)
            case ["payment_intents", id_, "capture"]:
                return self._capture(self._intent(id_))
            case ["payment_intents", id_, "cancel"]:
                return self._cancel(self._intent(id_))
            case ["refunds"]:
                return self._refund(asked)
            case _:
                raise _nowhere(path)

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        try:
            return Answer(HTTPStatus.OK, dict(self._got(path, query)))
        except Refusal as refusal:
            return refusal.answer

    def _got(self, path: str, query: Mapping[str, str]) -> Json:
        match path.removeprefix("/v1/").split("/"):
            case ["payment_intents", "search"]:
                return self._search(query["query"])
            case ["payment_intents"]:
                return _page(path, list(self.intents.values()), query)
            case ["payment_intents", id_]:
                return self._intent(id_)
            case ["refunds"]:
                return _page(path, list(self.refunds.values()), query)
            case ["refunds", id_]:
                return _found(self.refunds, id_)
            case _:
                raise _nowhere(path)

    # --- payment intents --------------------------------------------------------------------------------

    def _create(self, asked: Json) -> Json:
        if int(asked["amount"]) < SMALLEST:
            message = "Amount must be at least 50 cents"
            raise _invalid(message, "amount_too_small", "amount")
        intent: Json = {
            "id": f"pi_{len(self.intents):08}",
            "object": "payment_intent",
            "amount": int(asked["amount"]),
            "amount_received": 0,
            "currency": asked["currency"],
            "created": int(self.now()),
            "metadata": asked.get("metadata", {}),
            "status": "requires_payment_method",
            "capture_method": "automatic_async",
            "last_payment_error": None,
            "next_action": None,
            "payment_method": None,
        }
        self.intents[intent["id"]] = intent
        return intent

    def _confirm(self, intent: Json, asked: Json) -> Json:
        if intent["status"] not in NOT_CONFIRMED:
            raise _unexpected(intent)
        method = asked.get("payment_method") or asked.get("payment_method_data", {}).get("card", {}).get(
            "token"
        )
        if not method or method == "pm_nobodys":
            message = f"No such PaymentMethod: '{method}'"
            raise _invalid(message, "resource_missing", "payment_method")
        intent.update(payment_method=method, capture_method=asked.get("capture_method", "automatic_async"))
        if method == DECLINED:
            self._fail(intent)
            raise Refusal(
                HTTPStatus.PAYMENT_REQUIRED, "card_error", "Your card was declined.", code="card_declined"
            )
        if method in {ACTION, ACTION_FAILS}:
            url = f"https://hooks.stripe.example/{intent['id']}"
            intent.update(
                status="requires_action",
                next_action={"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": None}},
            )
            self._tell("payment_intent.requires_action", intent)
        elif method in {PROCESSING, PROCESSING_FAILS}:
            intent["status"] = "processing"
            self._tell("payment_intent.processing", intent)
        else:
            self._succeed(intent)
        return intent

    def _succeed(self, intent: Json) -> None:
        intent["next_action"] = None
        if intent["capture_method"] == "manual":
            intent["status"] = "requires_capture"
            self._tell("payment_intent.amount_capturable_updated", intent)
            return
        intent.update(status="succeeded", amount_received=intent["amount"])
        self._tell("payment_intent.succeeded", intent)

    def _fail(self, intent: Json) -> None:
        error = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}
        intent.update(status="requires_payment_method", next_action=None, last_payment_error=error)
        self._tell("payment_intent.payment_failed", intent)

    def _capture(self, intent: Json) -> Json:
        if intent["status"] != "requires_capture":
            raise _unexpected(intent)
        intent.update(capture_method="automatic")
        self._succeed(intent)
        return intent

    def _cancel(self, intent: Json) -> Json:
        if intent["status"] not in CANCELLABLE:
            raise _unexpected(intent)
        intent.update(status="canceled", next_action=None)
        self._tell("payment_intent.canceled", intent)
        return intent

    def decide(self) -> None:
        """On all that waits for that: banks, customers, refunds."""
        for each in self.undecided():
            self.decide_on(each)

    def undecided(self) -> list[Json]:
        intents = [each for each in self.intents.values() if each["status"] in UNDECIDED]
        return intents + [each for each in self.refunds.values() if each["status"] == "pending"]

    def decide_on(self, made: Json) -> None:
        if made["object"] == "refund":
            made["status"] = "succeeded"
            self._tell("refund.updated", made)
        elif made["payment_method"] in FAILS:
            self._fail(made)
        else:
            self._succeed(made)

    # --- refunds ----------------------------------------------------------------------------------------

    def _refund(self, asked: Json) -> Json:
        intent, amount = self._intent(asked["payment_intent"]), int(asked["amount"])
        others = [each for each in self.refunds.values() if each["payment_intent"] == intent["id"]]
        left = intent["amount_received"] - sum(
            each["amount"] for each in others if each["status"] != "failed"
        )
        if amount > left:
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            raise Refusal(HTTPStatus.BAD_REQUEST, "invalid_request_error", message, param="amount")
        method = intent["payment_method"]
        failed = any(each["status"] == "failed" for each in others)
        fails = method == REFUND_NEVER or (method == REFUND_FAILS and not failed)
        status = "failed" if fails else "succeeded"
        refund: Json = {
            "id": f"re_{len(self.refunds):08}",
            "object": "refund",
            "payment_intent": intent["id"],
            "amount": amount,
            "currency": intent["currency"],
            "created": int(self.now()),
            "metadata": asked.get("metadata", {}),
            "status": "pending" if method == REFUND_PENDING else status,
            "failure_reason": "expired_or_canceled_card" if status == "failed" else None,
        }
        self.refunds[refund["id"]] = refund
        self._tell("refund.created", refund)
        return refund

    # --- looked at --------------------------------------------------------------------------------------

    def _intent(self, id_: str) -> Json:
        return _found(self.intents, id_)

    def _search(self, query: str) -> Json:
        found = re.fullmatch(r"metadata\['(key|order_id)'\]:'([^']*)'", query)
        name, value = found.groups() if found else ("key", "")
        before = self.now() - self.search_lag
        data = [
            dict(each)
            for each in self.intents.values()
            if each["created"] <= before and each["metadata"].get(name) == value
        ]
        return {
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "data": data,
            "has_more": False,
        }

    def _tell(self, type_: str, about: Json) -> None:
        id_ = f"evt_{len(self.events):08}"
        self.events.append({"id": id_, "object": "event", "type": type_, "data": {"object": dict(about)}})

    def kept(self, order_id: str) -> int:
        """What it has taken for an order, and not given back."""
        of_order = [each for each in self.intents.values() if each["metadata"].get("order_id") == order_id]
        ids = {each["id"] for each in of_order}
        back: int = sum(
            each["amount"]
            for each in self.refunds.values()
            if each["payment_intent"] in ids and each["status"] == "succeeded"
        )
        taken: int = sum(each["amount_received"] for each in of_order)
        return taken - back


def _found(among: Mapping[str, Json], id_: str) -> Json:
    if id_ not in among:
        raise Refusal(
            HTTPStatus.NOT_FOUND, "invalid_request_error", f"No such object: '{id_}'", code="resource_missing"
        )
    return among[id_]


def _nowhere(path: str) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "invalid_request_error", f"Unrecognized request URL {path}")


def _invalid(message: str, code: str, param: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "invalid_request_error", message, code=code, param=param)


def _unexpected(intent: Json) -> Refusal:
    message = f"This PaymentIntent could not be changed because it has a status of {intent['status']}"
    return Refusal(
        HTTPStatus.BAD_REQUEST, "invalid_request_error", message, code="payment_intent_unexpected_state"
    )


def _page(path: str, newest_last: list[Json], query: Mapping[str, str]) -> Json:
    """The newest first, as Stripe lists them; there are more at the same path."""
    since, of = int(query.get("created[gte]", 0)), query.get("payment_intent")
    before = int(query["created[lt]"]) if "created[lt]" in query else math.inf
    matching = [
        dict(each)
        for each in reversed(newest_last)
        if since <= each["created"] < before and of in {None, each.get("payment_intent")}
    ]
    ids = [each["id"] for each in matching]
    start = ids.index(query["starting_after"]) + 1 if query.get("starting_after") in ids else 0
    limit = int(query.get("limit", 10))
    page = matching[start : start + limit]
    return {"object": "list", "url": path, "data": page, "has_more": len(matching) > start + limit}
