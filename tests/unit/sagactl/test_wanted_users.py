"""Whom provisioning makes: all users, but of the console and optional services only where there are."""

from pathlib import Path

from sagactl.provision.accounts import DATABASE_USERS, wanted
from sagactl.provision.broker_rights import CONSOLE
from services.shared.contract.events import OPTIONAL


def test_what_a_shop_may_do_without_has_a_user_where_its_folder_is(tmp_path: Path) -> None:
    missing = {CONSOLE, *OPTIONAL}
    while True:
        assert wanted(tmp_path, DATABASE_USERS) == tuple(
            user for user in DATABASE_USERS if user not in missing
        )
        if not missing:
            break
        (tmp_path / missing.pop()).mkdir()
