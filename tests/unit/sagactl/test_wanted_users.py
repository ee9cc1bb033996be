"""Whom provisioning makes, and what they may: all users, but of the console and optional services only where
there are.
"""

from pathlib import Path

import pytest

from sagactl.provision.accounts import DATABASE_USERS, roles, wanted
from sagactl.provision.broker_rights import CONSOLE, TOOLS
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


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_no_tool_may_read_accounts(tool: str) -> None:
    """Who has a laptop with `sagactl`, or the console, has no password hashes."""
    assert {"role": "read", "db": "order"} in roles(tool)
    assert not [role for role in roles(tool) if role["db"] == "auth"]
