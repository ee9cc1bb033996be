"""What somebody asks for here, on the console's own trail before it is done.

What cannot be recorded is not done.
"""

from datetime import UTC, datetime

from services.shared.contract import audit
from services.shared.contract.audit import Action, By, Outcome
from services.shared.database.new_id import new_id
from services.shared.database.store import Store


async def ask(store: Store, by: By, action: Action, subject: str, detail: str, reason: str) -> None:
    """Raises PyMongoError."""
    await store.trail.add(
        audit.entry(
            new_id(),
            datetime.now(UTC),
            by,
            action,
            subject,
            outcome=Outcome.ASKED,
            reason=reason,
            detail=detail,
        )
    )
