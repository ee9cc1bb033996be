"""What a customer sends to a peer's shop, as to ours."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bench.peers.store import Line


class Order(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    ids: list[str]
    quantities: list[int] = Field(min_length=1)
    payment_token: str

    @property
    def lines(self) -> list[Line]:
        return [*zip(self.ids, self.quantities, strict=True)]


class Placed(BaseModel):
    orderId: str  # noqa: N815  # its name in JSON
