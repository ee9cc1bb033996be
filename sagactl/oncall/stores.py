"""The databases, by the tools' own user."""

from typing import Final

from pymongo import AsyncMongoClient

from services.shared.database.store import Document

# A server that is there answers long before.
ANSWERS_WITHIN_MS: Final = 10_000


def connect(mongodb_url: str, within_ms: int | None = None) -> AsyncMongoClient[Document]:
    """Its calls raise PyMongoError: where MongoDB does not answer, or does not allow what is asked."""
    return AsyncMongoClient(
        mongodb_url,
        tz_aware=True,
        readConcernLevel="majority",
        serverSelectionTimeoutMS=within_ms or ANSWERS_WITHIN_MS,
        appname="sagactl",
    )
