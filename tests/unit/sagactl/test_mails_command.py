"""What customers are written, as files; and what became of it."""

from email import message_from_bytes
from email.headerregistry import Address
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from typer.testing import CliRunner

from sagactl.cli import app
from sagactl.oncall.mails import plan, resending
from sagactl.oncall.order import shown
from sagactl.oncall.sample_mails import EXAMPLES, examples
from services.auth.letters import Kind
from services.notification.domain import NotificationState
from services.notification.mail import TEMPLATES
from services.shared.mail.writing import LANGUAGES, Sender
from tests.unit.explain.desk import Desk

SHOP = Sender(Address("Pots", "orders", "shop.example"), None, "en")


def test_there_is_an_example_of_every_mail() -> None:
    assert {type(event) for event in EXAMPLES.values()} == set(TEMPLATES)


def test_every_mail_is_written_in_every_language_and_form(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["mails", "preview", "--out", str(tmp_path / "mails"), "--shop", "Pots"])
    assert said.exit_code == 0, said.output
    kinds = {kind for kind, _ in examples(SHOP)}
    assert kinds == {*EXAMPLES, *Kind, *(f"{kind}-token" for kind in Kind)}
    names = {f"{kind}.{language}" for kind in kinds for language in LANGUAGES}
    found = {file.name for file in (tmp_path / "mails").iterdir()}
    assert found == {f"{name}.{suffix}" for name in names for suffix in ("eml", "html", "txt")}
    mail = message_from_bytes((tmp_path / "mails" / "paid.de.eml").read_bytes(), policy=SMTP)
    assert (mail["From"], mail["Content-Language"]) == ("Pots <orders@shop.example>", "de")
    assert len(said.output.splitlines()) == len(names)


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        (NotificationState.RECORDED, "", "ORDER_PAID"),
        (NotificationState.SENT, "", "ORDER_PAID (mail SENT)"),
        (NotificationState.FAILED, "550 no such user", "ORDER_PAID (mail FAILED: 550 no such user)"),
    ],
)
def test_an_order_says_what_became_of_its_mail(state: NotificationState, reason: str, told: str) -> None:
    case = Desk().paid().marks().case
    notified = [structs.replace(each, state=state, reason=reason) for each in case.notifications]
    lines = [str(each) for each in shown(case._replace(notifications=notified))]
    assert f"[bold]told[/]     {told}" in lines


@pytest.mark.parametrize(
    ("change", "allowed", "says"),
    [
        ({"state": NotificationState.SENT}, True, "a new mail to the same customer"),
        ({"state": NotificationState.WAITING}, False, "on its way"),
        ({"recipient": "erased@customer.invalid"}, False, "was erased"),
    ],
)
def test_a_mail_is_sent_once_more_by_the_services_rules(
    change: dict[str, Any],
    allowed: bool,  # noqa: FBT001  # a parameter of the test
    says: str,
) -> None:
    (found, *_) = Desk().paid().marks().case.notifications
    planned = plan(structs.replace(found, **change))
    assert (planned.mail, planned.allowed, says in planned.says) == (found.id, allowed, True)
    screen = "\n".join(map(str, resending(planned).text(False)))  # noqa: FBT003  # as `Shown` has it
    assert (planned.says in screen, "refused" in screen) == (True, not allowed)
