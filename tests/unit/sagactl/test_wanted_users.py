"""Whom provisioning makes: all users, and the console's where there is a console."""

from pathlib import Path

from sagactl.provision.accounts import DATABASE_USERS, wanted
from sagactl.provision.broker_rights import CONSOLE


def test_the_console_has_a_user_where_its_folder_is(tmp_path: Path) -> None:
    others = tuple(user for user in DATABASE_USERS if user != CONSOLE)
    assert wanted(tmp_path, DATABASE_USERS) == others
    (tmp_path / CONSOLE).mkdir()
    assert wanted(tmp_path, DATABASE_USERS) == DATABASE_USERS
