"""`sagactl orders list`: pages of several states as one, and what asks for them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from rich.console import Console
from typer.testing import CliRunner

from sagactl.cli import app
from sagactl.oncall.listing import Listed, OrderList, Page, merged, shown
from services.order.model import Order, Status
from services.shared.http.cursors import Cursor
from tests.unit.order import examples as eg

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def order(number: int, status: Status, seconds: int) -> Order:
    """Placed so many seconds before noon."""
    at = NOON - timedelta(seconds=seconds)
    return structs.replace(
        eg.CONFIRMED, id=f"order-{number:04}", status=status, created_at=at, state_since=at
    )


def page_of(orders: Sequence[Order], limit: int, after: Cursor | None) -> Page:
    """As the order service's query has it."""
    newest = sorted(orders, key=lambda each: (each.created_at, each.id), reverse=True)
    left = [each for each in newest if after is None or (each.created_at, each.id) < after]
    last = left[limit - 1] if len(left) > limit else None
    return Page(left[:limit], None if last is None else Cursor(last.created_at, last.id))


def pages(orders: Sequence[Order], limit: int, since: datetime | None) -> Iterator[Sequence[Order]]:
    after: Cursor | None = None
    while True:
        by_state = [page_of([each for each in orders if each.status is s], limit, after) for s in Status]
        page = merged(by_state, limit, since)
        yield page.orders
        if page.next is None:
            return
        after = page.next


@given(
    placed=st.lists(st.tuples(st.sampled_from(Status), st.integers(0, 6)), max_size=30),
    limit=st.integers(1, 7),
    since=st.none() | st.integers(0, 7),
)
def test_page_by_page_every_order_comes_once_and_the_newest_first(
    placed: list[tuple[Status, int]], limit: int, since: int | None
) -> None:
    orders = [order(number, status, seconds) for number, (status, seconds) in enumerate(placed)]
    bound = None if since is None else NOON - timedelta(seconds=since)
    listed = [each for page in pages(orders, limit, bound) for each in page]
    wanted = [each for each in orders if bound is None or each.created_at >= bound]
    assert listed == sorted(wanted, key=lambda each: (each.created_at, each.id), reverse=True)


def test_an_order_that_contradicts_what_happened_is_marked_and_wide_tells_more() -> None:
    listed = Listed.of(order(1, Status.CONFIRMED, 200))
    found = OrderList(at=NOON, items=(listed,), next=None)
    told = []
    for wide in (False, True):
        out = StringIO()
        for part in shown(found).text(wide):
            Console(file=out, width=160).print(part)
        told.append(out.getvalue())
    narrow, all_ = told
    assert "order-0001" in narrow
    assert "3 min 20 s" in narrow
    assert (listed.customer in narrow, listed.customer in all_) == (False, True)
    assert "2026-11-26T11:56:40Z" in all_


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cursor", "nonsense"], "take the cursor from `next`"),
        (["--since", "yesterday"], "give a duration such as 2h, or a date"),
        (["--status", "LOST"], "PENDING"),
        (["--marked", "--open"], "--marked can only be combined with --limit"),
    ],
)
def test_what_is_not_understood_is_told(options: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["orders", "list", *options], env={"COLUMNS": "250"})
    assert result.exit_code == 2
    assert says in result.output
