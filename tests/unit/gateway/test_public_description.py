"""What a reader of the API's description finds: names, examples and errors of every operation."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jsonschema
import pytest

from dev.description import description

DESCRIPTION = description("1")
SCHEMAS = DESCRIPTION["components"]["schemas"]
PROBLEM = "application/problem+json"
EVENTS = "text/event-stream"


class Operation(NamedTuple):
    method: str
    path: str
    item: dict[str, Any]

    @property
    def needs_token(self) -> bool:
        return bool(self.item["security"] == [{"token": []}])

    def problems(self, status: int) -> set[str]:
        content = self.item["responses"].get(str(status), {}).get("content", {})
        return set(content.get(PROBLEM, {}).get("examples", {}))


OPERATIONS = [
    Operation(method, path, item)
    for path, methods in DESCRIPTION["paths"].items()
    for method, item in methods.items()
]
each_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}"
)


def test_a_schema_is_titled_as_it_is_called() -> None:
    """Generated clients call types by their titles: of one that two have, one would be missing."""
    assert {name: schema.get("title", name) for name, schema in SCHEMAS.items()} == {
        name: name for name in SCHEMAS
    }


def test_operations_have_the_names_that_a_client_would_give_them() -> None:
    assert sorted(operation.item["operationId"] for operation in OPERATIONS) == [
        "adjustStock",
        "askForReset",
        "cancelOrder",
        "changeAccount",
        "changePassword",
        "changeProduct",
        "changeWebhook",
        "confirmTotp",
        "createOrder",
        "createProduct",
        "createWebhook",
        "deleteProduct",
        "deleteWebhook",
        "deliverOrder",
        "disableTotp",
        "enableWebhook",
        "enrolTotp",
        "eraseAccount",
        "followOrder",
        "getAccount",
        "getAccountData",
        "getKeys",
        "getOrder",
        "getPayment",
        "getProduct",
        "getShipment",
        "getStock",
        "getTimeline",
        "getWebhook",
        "hearGateway",
        "listAccounts",
        "listOrders",
        "listProducts",
        "listSigningKeys",
        "listStock",
        "listStockMoves",
        "listWebhookDeliveries",
        "listWebhooks",
        "logIn",
        "logOut",
        "logOutAccount",
        "logOutEverywhere",
        "refresh",
        "refundOrder",
        "register",
        "replayWebhooks",
        "resendMail",
        "resendVerification",
        "resetPassword",
        "resetTotp",
        "restock",
        "revokeSigningKey",
        "rotateSigningKeys",
        "rotateWebhookSecret",
        "setStock",
        "settleRefundOutside",
        "shipOrder",
        "tryWebhook",
        "verifyEmail",
    ]


@each_operation
def test_an_operation_is_explained_and_its_tag_too(operation: Operation) -> None:
    tags = {tag["name"]: tag["description"] for tag in DESCRIPTION["tags"]}
    assert operation.item["summary"]
    assert operation.item["description"]
    assert all(tags[tag] for tag in operation.item["tags"])


def test_a_stream_is_described_as_one_with_an_example_of_how_it_ends() -> None:
    (operation,) = (each for each in OPERATIONS if each.item["operationId"] == "followOrder")
    (kind, content), *_ = operation.item["responses"]["200"]["content"].items()
    assert (kind, content["schema"]) == (EVENTS, {"type": "string"})
    assert "\nid: 3\n" in content["example"]
    assert "\n\nevent: end\n" in content["example"]
    assert "204" in operation.item["responses"]
    assert "Last-Event-ID" in {each["name"] for each in operation.item["parameters"]}


def bodies(operation: Operation) -> Iterator[tuple[str, Any]]:
    """The JSON content of the request and of what a success answers."""
    if "requestBody" in operation.item:
        yield "the request", operation.item["requestBody"]["content"]["application/json"]
    for status, response in operation.item["responses"].items():
        content = response.get("content", {}).get("application/json")
        # Without a body, or one of which nothing is said.
        if status.startswith("2") and content and content["schema"]:
            yield status, content


@each_operation
def test_every_body_has_an_example_that_is_one(operation: Operation) -> None:
    for where, content in bodies(operation):
        schema = content["schema"]
        named = SCHEMAS.get(schema.get("$ref", "").rpartition("/")[2], {})
        examples = [content["example"]] if "example" in content else named.get("examples", [])
        assert examples, where
        for example in examples:
            jsonschema.validate(example, schema | {"components": {"schemas": SCHEMAS}})


@each_operation
def test_every_problem_that_an_operation_may_answer_with_is_listed_with_an_example(
    operation: Operation,
) -> None:
    assert ({"token-missing", "token-expired"} <= operation.problems(401)) == operation.needs_token
    assert ("not-found" in operation.problems(404)) == ("{" in operation.path)
    assert ("unsupported-media-type" in operation.problems(415)) == ("requestBody" in operation.item)
    assert "invalid" in operation.problems(422)
    assert "rate-limited" in operation.problems(429)
    assert "unavailable" in operation.problems(503)
    for status in operation.item["responses"]:
        if status[0] in "45":
            examples = operation.item["responses"][status]["content"][PROBLEM]["examples"]
            for example in examples.values():
                jsonschema.validate(example["value"], SCHEMAS["Problem"])


@pytest.mark.parametrize(
    ("name", "status", "codes"),
    [
        ("createOrder", 422, {"unknown-product", "mixed-currencies", "idempotency-key-reused", "invalid"}),
        ("cancelOrder", 409, {"state-forbids"}),
        ("refundOrder", 409, {"state-forbids"}),
        ("register", 409, {"email-taken"}),
        ("logIn", 401, {"login-failed"}),
        ("restock", 403, {"forbidden"}),
        ("createProduct", 403, {"forbidden"}),
        ("followOrder", 429, {"rate-limited", "too-many-streams"}),
        ("followOrder", 503, {"overloaded"}),
    ],
)
def test_what_is_particular_to_an_operation_is_listed(name: str, status: int, codes: set[str]) -> None:
    (operation,) = (each for each in OPERATIONS if each.item["operationId"] == name)
    assert codes <= operation.problems(status)


def test_titles_are_words() -> None:
    titles = {
        name: field["title"]
        for schema in SCHEMAS.values()
        for name, field in schema.get("properties", {}).items()
        if "title" in field
    }
    assert {title.replace(" ", "").lower() for title in titles.values()} == {name.lower() for name in titles}
    assert titles["orderId"] == "Order id"


def test_nothing_of_internal_routes_shows() -> None:
    assert not [name for name in SCHEMAS if re.match("Stale|Attention|Compensat(e|ionAnswer)$", name)]
    assert not [path for path in DESCRIPTION["paths"] if "internal" in path]


# Whose repetition does no harm, or is refused; what auth is sent (passwords, tokens) leaves no trace.
WITHOUT_KEY = {"auth", "by mail", "second factor", "accounts", "keys", "webhooks", "payments"}


@each_operation
def test_whatever_changes_something_of_the_shop_takes_an_idempotency_key(operation: Operation) -> None:
    takes = "Idempotency-Key" in {each["name"] for each in operation.item["parameters"]}
    makes_an_endpoint = operation.item["operationId"] == "createWebhook"
    changes = operation.method != "get" and not WITHOUT_KEY & set(operation.item["tags"])
    assert takes == (changes or makes_an_endpoint)
    assert takes == ("idempotency-key-reused" in operation.problems(422))


def test_what_has_few_values_lists_them() -> None:
    for schema, field in (("OrderBody", "fulfilment"), ("OrderBody", "status"), ("PaymentBody", "status")):
        described = SCHEMAS[schema]["properties"][field]
        described = SCHEMAS[described["$ref"].rpartition("/")[2]] if "$ref" in described else described
        assert described["enum"]
    assert SCHEMAS["CancellationReason"]["enum"]


def test_parameters_of_paths_are_called_as_the_fields_are() -> None:
    assert "/api/orders/{orderId}/cancel" in DESCRIPTION["paths"]
    for operation in OPERATIONS:
        in_path = {each["name"] for each in operation.item["parameters"] if each["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", operation.path))
