"""What `-o json` prints is a document of a kind, by a schema. Pure: also for those who show it otherwise."""

from typing import Final, Literal

from msgspec import Struct

API_VERSION: Final = "sagashop.io/ctl/v1"


class Document(Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag=True):
    """Its `kind` is the name of its class."""

    api_version: Literal["sagashop.io/ctl/v1"] = API_VERSION
