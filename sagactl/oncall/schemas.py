"""The kinds of documents that commands print, and their schemas: python -m sagactl.oncall.schemas FOLDER."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from sagactl.documents import Document
from sagactl.oncall.accounts import AccountList
from sagactl.oncall.audit import EntryList
from sagactl.oncall.explain.explanation import Explanation
from sagactl.oncall.find import HitList
from sagactl.oncall.jobs.command import JobList
from sagactl.oncall.jobs.job import Job
from sagactl.oncall.keys import KeyList
from sagactl.oncall.letter_acts import LetterAct
from sagactl.oncall.letters import LetterGroupList, LetterList, LetterPreviewList
from sagactl.oncall.listing import OrderList
from sagactl.oncall.login import WhoAmI
from sagactl.oncall.mails import MailList, Resending
from sagactl.oncall.order import OrderFacts
from sagactl.oncall.order_acts import OrderAct
from sagactl.oncall.outbox import UnpublishedList
from sagactl.oncall.overdue import StuckList
from sagactl.oncall.payments import PaymentFacts, RefundList
from sagactl.oncall.queues import QueueList
from sagactl.oncall.repair.command import Repair
from sagactl.oncall.replay.report import Replay
from sagactl.oncall.report import CheckReport
from sagactl.oncall.status.standing import Status
from sagactl.oncall.stocking import ChangeList, Restocking, StockFacts
from sagactl.oncall.watching import OrderSteps

KINDS: Final[tuple[type[Document], ...]] = (
    AccountList,
    ChangeList,
    CheckReport,
    EntryList,
    Explanation,
    HitList,
    Job,
    JobList,
    KeyList,
    LetterAct,
    LetterGroupList,
    LetterList,
    LetterPreviewList,
    MailList,
    OrderAct,
    OrderFacts,
    OrderList,
    OrderSteps,
    PaymentFacts,
    QueueList,
    RefundList,
    Repair,
    Replay,
    Resending,
    Restocking,
    Status,
    StockFacts,
    StuckList,
    UnpublishedList,
    WhoAmI,
)


def schemas() -> Mapping[str, Any]:
    """By the name of a file."""
    return {f"{kind.__name__}.schema.json": _standard(msgspec.json.schema(kind)) for kind in KINDS}


def _standard(node: Any) -> Any:  # noqa: ANN401  # JSON
    """Without OpenAPI's word beside `anyOf`: strict validators refuse what JSON Schema does not know."""
    if isinstance(node, dict):
        return {
            name: _standard(value)
            for name, value in node.items()
            if not (name == "discriminator" and "anyOf" in node)
        }
    return [_standard(each) for each in node] if isinstance(node, list | tuple) else node


def main(folder: Path) -> None:
    for name, schema in schemas().items():
        text = msgspec.json.format(msgspec.json.encode(schema), indent=2)
        (folder / name).write_bytes(text + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
