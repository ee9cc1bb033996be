"""The books of a peer's shop, in PostgreSQL: the same tables and the same SQL for every peer.

Each function is one step of the saga, in a transaction that the caller opens. Each may be repeated: a step of
which nobody knows whether it was done is done again, and has no second effect.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

DECLINED: Final = "tok_declined"
metadata: Final = sa.MetaData()

products: Final = sa.Table(
    "products",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("initial", sa.BigInteger, nullable=False),
    sa.Column("available", sa.BigInteger, sa.CheckConstraint("available >= 0"), nullable=False),
    sa.Column("reserved", sa.BigInteger, sa.CheckConstraint("reserved >= 0"), nullable=False),
    sa.Column("sold", sa.BigInteger, nullable=False),
)
orders: Final = sa.Table(
    "orders",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # PENDING, RESERVED; in the end PAID or CANCELLED.
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("lines", JSONB, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
)
# Whoever takes the money keeps books, too: one entry for each key that was ever asked with.
ledger: Final = sa.Table(
    "ledger",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
)
notifications: Final = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
)

# In an order's lines: the product's id, how many pieces.
Line = tuple[str, int]


class OutOfStockError(Exception):
    """Not all lines can be had: none is reserved."""


def create(session: Session, order_id: str, lines: Sequence[Line], created_at: datetime) -> int:
    """The order, and its total in minor units, of prices that no customer can say."""
    prices: dict[str, int] = dict(
        session.execute(
            sa.select(products.c.id, products.c.price).where(products.c.id.in_([id_ for id_, _ in lines]))
        )
        .tuples()
        .all()
    )
    total = sum(prices[id_] * quantity for id_, quantity in lines)
    session.execute(
        insert(orders)
        .values(
            id=order_id,
            status="PENDING",
            lines=[list(line) for line in lines],
            total=total,
            created_at=created_at,
            updated_at=created_at,
        )
        .on_conflict_do_nothing()
    )
    return total


def reserve(session: Session, order_id: str, lines: Sequence[Line]) -> None:
    """Of every line, or of none. Raises OutOfStockError."""
    if _advance(session, order_id, "PENDING", "RESERVED") and not _move(
        session, lines, "available", "reserved"
    ):
        raise OutOfStockError(order_id)


def charge(session: Session, order_id: str, amount: int, token: str) -> bool:
    """What the mock payment gateway does when it is asked: whether it took the money."""
    status = "declined" if token == DECLINED else "captured"
    session.execute(
        insert(ledger)
        .values(key=order_id, order_id=order_id, status=status, amount=amount)
        .on_conflict_do_nothing()
    )
    return status == "captured"


def pay(session: Session, order_id: str, lines: Sequence[Line]) -> None:
    if _advance(session, order_id, "RESERVED", "PAID"):
        _move(session, lines, "reserved", "sold")


def release(session: Session, order_id: str, lines: Sequence[Line]) -> None:
    """What was reserved for the order is available again, and the order is cancelled."""
    if _advance(session, order_id, "RESERVED", "CANCELLED"):
        _move(session, lines, "reserved", "available")


def cancel(session: Session, order_id: str) -> None:
    """An order for which nothing is reserved."""
    _advance(session, order_id, "PENDING", "CANCELLED")


def notify(session: Session, order_id: str, kind: str) -> None:
    session.execute(
        insert(notifications)
        .values(id=f"{order_id}:{kind}", order_id=order_id, kind=kind)
        .on_conflict_do_nothing()
    )


def _advance(session: Session, order_id: str, before: str, after: str) -> bool:
    """False where it is there already."""
    found = session.execute(
        sa.update(orders)
        .where(orders.c.id == order_id, orders.c.status == before)
        .values(status=after, updated_at=datetime.now(UTC))
    )
    return bool(cast("sa.CursorResult[Any]", found).rowcount)


def _move(session: Session, lines: Sequence[Line], source: str, target: str) -> bool:
    """Pieces from one counter to another, whether of every line. Products are locked in the order of their
    ids: two orders cannot wait for one another. One round trip, for the driver sends them as a pipeline.
    """
    pieces = sa.bindparam("pieces", type_=sa.BigInteger)
    found = session.connection().execute(
        sa.update(products)
        .where(products.c.id == sa.bindparam("product"), products.c[source] >= pieces)
        .values({source: products.c[source] - pieces, target: products.c[target] + pieces}),
        [{"product": id_, "pieces": quantity} for id_, quantity in sorted(lines)],
    )
    return bool(found.rowcount == len(lines))
