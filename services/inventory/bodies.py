"""What goes in and out of the inventory service over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Self, TypeAlias

from pydantic import AfterValidator, Field

from services.inventory import examples
from services.inventory.moves import MoveKind, Reason, StockMove
from services.inventory.stock import LARGEST, Stock
from services.shared.http.bodies import Body, View

MOST_AT_ONCE: Final = 1_000_000
LONGEST_NOTE: Final = 500


class Delivery(Body, json_schema_extra={"examples": [examples.DELIVERY]}):
    quantity: Annotated[int, Field(ge=1, le=MOST_AT_ONCE, strict=True)]


def _not_zero(delta: int) -> int:
    if not delta:
        raise ValueError("give how many pieces more (2) or fewer (-2) there are")
    return delta


Note: TypeAlias = Annotated[
    str, Field(max_length=LONGEST_NOTE, description="Shown in the history of the stock")
]


class Adjustment(Body, json_schema_extra={"examples": [examples.ADJUSTMENT]}):
    delta: Annotated[
        int,
        Field(
            ge=-MOST_AT_ONCE,
            le=MOST_AT_ONCE,
            strict=True,
            description="Pieces to add, or (negative) to remove",
        ),
        AfterValidator(_not_zero),
    ]
    reason: Reason
    note: Note = ""


class Counted(Body, json_schema_extra={"examples": [examples.COUNTED]}):
    available: Annotated[
        int, Field(ge=0, le=LARGEST, strict=True, description="Pieces that are neither held nor sold")
    ]
    reason: Reason
    note: Note = ""


class StockBody(View, json_schema_extra={"examples": [examples.STOCK]}):
    product_id: str
    available: Annotated[int, Field(description="Pieces that can be ordered now")]
    discontinued: Annotated[bool, Field(description="No longer sold")]
    reserved: Annotated[int, Field(description="Held for orders; shown to administrators")] = 0
    sold: Annotated[int, Field(description="Shown to administrators")] = 0
    revision: Annotated[
        int, Field(description="The number of changes: the ETag. Shown to administrators")
    ] = 0

    @classmethod
    def of(cls, stock: Stock, *, for_staff: bool) -> Self:
        internal = {"reserved": stock.reserved, "sold": stock.sold, "revision": stock.revision}
        return cls(
            product_id=stock.id,
            available=stock.available,
            discontinued=stock.discontinued,
            **(internal if for_staff else {}),
        )


class StockList(View, json_schema_extra={"examples": [examples.STOCK_LIST]}):
    items: list[StockBody]


class MoveBody(View):
    kind: MoveKind
    delta: Annotated[int, Field(description="Pieces that became available; negative if they were removed")]
    reason: Annotated[Reason | None, Field(description="null for a restocking")]
    note: str
    by: Annotated[str, Field(description="The id of the account that made the change")]
    at: datetime
    revision: Annotated[int, Field(description="The revision of the stock after the change")]


class MoveList(View, json_schema_extra={"examples": [examples.MOVE_LIST]}):
    items: list[MoveBody]
    next_cursor: int | None

    @classmethod
    def of(cls, moves: Sequence[StockMove], limit: int) -> Self:
        """A page of `limit`, where one more was looked for."""
        page = [MoveBody.model_validate(move) for move in moves[:limit]]
        return cls(items=page, next_cursor=page[-1].revision if len(moves) > limit else None)
