"""A customer follows an order through the gateway, as a browser would."""

from tests.integration.following import follow
from tests.integration.saga.shop import Shop


async def test_an_order_is_seen_live_and_the_other_replica_goes_on_where_the_stream_was_cut(
    shop: Shop,
) -> None:
    lamp = await shop.product()
    headers = await shop.headers("alice")
    async with shop.frozen("payment"):
        order_id = await shop.place({lamp: 1}, who="alice")
        url = f"/api/orders/{order_id}/events"
        async with follow(shop.http, url, **headers) as events:
            seen = [await anext(events) for _ in range(2)]
        assert [(each.event, each.id, each.json()["to"]) for each in seen] == [
            ("step", "1", "PENDING"),
            ("step", "2", "CONFIRMED"),
        ]
    other = {replica.name: replica.url for replica in shop.stack.replicas}["order-2"]
    async with follow(shop.http, other + url, seen[0].id, **headers) as events:
        confirmed, paid, end = [each async for each in events]
    assert (confirmed.id, confirmed.json()) == ("2", seen[1].json())
    assert (paid.id, paid.json()["to"]) == ("3", "PAID")
    assert (end.event, end.json()["settled"]) == ("end", True)
    over = await shop.http.get(url, headers=headers | {"Last-Event-ID": paid.id})
    assert over.status_code == 204
    await shop.settles(order_id, "PAID")
