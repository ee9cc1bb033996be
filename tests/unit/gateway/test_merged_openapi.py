"""One description of the API: the public part of each service's, with every reference leading somewhere."""

from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from services.auth.main import make_app as make_auth
from services.auth.settings import AuthSettings
from services.gateway.openapi import merge
from services.product.main import make_app as make_product
from services.product.settings import ProductSettings


def document(path: str, schemas: dict[str, Any], **operation: Any) -> dict[str, Any]:
    return {"paths": {path: {"get": operation}}, "components": {"schemas": schemas}}


def answering(schema: str) -> dict[str, Any]:
    return {"responses": {"200": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"].removeprefix("#/components/schemas/")
        for each in part.values():
            yield from references(each)
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def test_schemas_of_one_name_that_differ_are_told_apart_by_their_service() -> None:
    merged = merge(
        {
            "order": document("/api/orders", {"Line": {"description": "order's"}}, **answering("Line")),
            "payment": document(
                "/api/payments/{id}", {"Line": {"description": "payment's"}}, **answering("Line")
            ),
        },
        "1",
    )
    assert merged["components"]["schemas"] == {
        "OrderLine": {"description": "order's", "title": "OrderLine"},
        "PaymentLine": {"description": "payment's", "title": "PaymentLine"},
    }
    assert [name for name in references(merged["paths"]) if name != "Problem"] == ["OrderLine", "PaymentLine"]


def test_schemas_that_are_the_same_stay_one() -> None:
    same = {"Error": {"type": "object"}}
    merged = merge(
        {
            "order": document("/api/orders", same, **answering("Error")),
            "product": document("/api/products", same, **answering("Error")),
        },
        "1",
    )
    assert merged["components"]["schemas"] == same


def test_schemas_that_nothing_public_refers_to_are_left_out() -> None:
    schemas = {"Public": {"items": {"$ref": "#/components/schemas/Part"}}, "Part": {}, "Internal": {}}
    merged = merge({"order": document("/api/orders", schemas, **answering("Public"))}, "1")
    assert set(merged["components"]["schemas"]) == {"Public", "Part"}


def test_services_that_do_not_answer_are_named() -> None:
    merged = merge({"order": document("/api/orders", {})}, "1", missing={"payment", "auth"})
    assert "do not answer: auth, payment." in merged["info"]["description"]
    whole = merge({"order": document("/api/orders", {})}, "1")
    assert "does not answer" not in whole["info"]["description"]


def test_the_same_words_about_different_things_are_different() -> None:
    page = {"items": {"$ref": "#/components/schemas/Item"}}
    merged = merge(
        {
            "order": document("/api/orders", {"Page": page, "Item": {"title": "order"}}, **answering("Page")),
            "product": document(
                "/api/products", {"Page": page, "Item": {"title": "product"}}, **answering("Page")
            ),
        },
        "1",
    )
    schemas = merged["components"]["schemas"]
    assert set(schemas) == {"OrderPage", "OrderItem", "ProductPage", "ProductItem"}
    assert list(references(schemas["ProductPage"])) == ["ProductItem"]


def test_what_is_not_public_or_anothers_is_left_out() -> None:
    merged = merge(
        {
            "order": document("/internal/orders/stale", {}),
            "product": document("/api/orders", {}),
            "auth": document("/auth/me", {}),
        },
        "1",
    )
    assert list(merged["paths"]) == ["/auth/me"]


def test_a_token_is_a_matter_of_security_and_not_a_parameter() -> None:
    header = {"name": "authorization", "in": "header"}
    limit = {"name": "limit", "in": "query"}
    merged = merge({"order": document("/api/orders", {}, parameters=[header, limit])}, "1")
    operation = merged["paths"]["/api/orders"]["get"]
    assert (operation["parameters"], operation["security"]) == ([limit], [{"token": []}])


def test_the_services_descriptions_merge_without_loose_ends() -> None:
    documents = {
        "auth": make_auth(AuthSettings(secrets_key=SecretStr("A" * 43 + "="))).openapi(),
        "product": make_product(ProductSettings()).openapi(),
    }
    merged = merge(documents, "1")
    assert {"/auth/login", "/auth/me", "/api/products", "/api/products/{productId}"} <= set(merged["paths"])
    assert set(references(merged)) <= set(merged["components"]["schemas"])
    assert merged["paths"]["/api/products"]["get"]["security"] == []
    assert merged["paths"]["/api/products"]["post"]["security"] == [{"token": []}]
