"""What a failed transaction means: another replica was first, a message is at fault, or the database is."""

from enum import StrEnum
from typing import Final

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError

DUPLICATE_KEY: Final = 11000
WRITE_CONFLICT: Final = 112
NO_SUCH_TRANSACTION: Final = 251
# The server's codes for what it will never store: too large a document, update or transaction; a value, key
# or nesting that it does not take. (src/mongo/base/error_codes.yml)
NEVER_STORED: Final = frozenset({2, 14, 15, 22, 52, 53, 56, 57, 121, 171, 257, 10334, 17280, 17419, 17420})
TRANSIENT: Final = "TransientTransactionError"


class Fault(StrEnum):
    # Another transaction changed the same documents: read them again, decide again.
    CONFLICT = "conflict"
    # A key that must be unique was taken. By another replica, most likely; by itself, if it stays.
    TAKEN = "taken"
    # Something of a message cannot be read or stored: no reading again mends that.
    MESSAGE = "message"
    # The database, or the way to it. The outcome of a commit is unknown.
    DATABASE = "unavailable"


def fault_of(error: Exception) -> Fault:
    """Tells apart what a transaction can raise."""
    if isinstance(error, BulkWriteError):
        codes = {each.get("code") for each in (error.details or {}).get("writeErrors", ())}
    elif isinstance(error, OperationFailure):
        codes = {error.code}
    elif isinstance(error, DocumentTooLarge | BSONError):
        return Fault.MESSAGE
    else:
        return Fault.DATABASE if isinstance(error, PyMongoError) else Fault.MESSAGE
    if WRITE_CONFLICT in codes:
        return Fault.CONFLICT
    if DUPLICATE_KEY in codes:
        return Fault.TAKEN
    return Fault.MESSAGE if codes & NEVER_STORED else Fault.DATABASE


def is_outlived(error: Exception) -> bool:
    """Whether the server ended the transaction before it was committed, as one that took too long."""
    return isinstance(error, OperationFailure) and error.code == NO_SUCH_TRANSACTION


def is_undone(error: Exception) -> bool:
    """Whether the failed commit certainly did not take place."""
    return isinstance(error, PyMongoError) and error.has_error_label(TRANSIENT)
