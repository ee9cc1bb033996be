"""The glossary explains every queue there is, and what it carries."""

from pathlib import Path

from services.shared.contract.events import CONSUMES

GLOSSARY = (Path(__file__).parents[2] / "docs/glossary.md").read_text()


def test_the_glossary_names_every_queue_and_who_reads_it() -> None:
    rows = {
        (queue.strip(" `"), service.strip())
        for _, queue, service, _, _ in (
            line.split("|")
            for line in GLOSSARY.splitlines()
            if line.startswith("| `") and line.count("|") == 4
        )
    }
    assert rows == {(queue, service) for service, queues in CONSUMES.items() for queue in queues}
