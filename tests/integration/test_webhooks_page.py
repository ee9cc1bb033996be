"""The receiver of docs/webhooks.md is a program that works as it says."""

import asyncio
import os
import re
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from sagactl.polling import until
from services.notification.caller import Caller
from services.notification.signing import headers, shown
from tests.integration.room import PATIENCE
from tests.ports import free_port
from tests.unit.test_house import ROOT

PAGE = ROOT / "docs" / "webhooks.md"
SECRET, OTHER = bytes(range(32)), bytes(32)
BODY = b'{"specversion":"1.0"}'


class Running(NamedTuple):
    port: int
    folder: Path
    caller: Caller

    async def call(self, id_: str, secret: bytes = SECRET, at: datetime | None = None) -> int | None:
        signed = headers(id_, at or datetime.now(UTC), BODY, [secret])
        answer = await self.caller.call(f"https://127.0.0.1:{self.port}/webhooks", signed, BODY)
        return answer.status

    def stored(self) -> list[tuple[str, bytes]]:
        with closing(sqlite3.connect(self.folder / "events.db")) as database:
            return list(database.execute("SELECT id, body FROM events"))


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    (program,) = re.findall(r"<!-- receiver:begin -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "receiver.py").write_text(program)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    shown_by = authority.issue_cert("127.0.0.1")
    shown_by.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
    shown_by.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "receiver.py", str(port), "tls.crt", "tls.key"),
        cwd=tmp_path,
        env={**os.environ, "WEBHOOK_SECRET": shown(SECRET)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    caller = Caller((ip_network("127.0.0.1/32"),), tmp_path / "ca.pem")
    running = Running(port, tmp_path, caller)

    async def answers() -> bool:
        assert process.returncode is None
        return await running.call("x", OTHER) is not None

    try:
        await until(answers, within=PATIENCE, what="the receiver")
        yield running
    finally:
        await caller.close()
        process.kill()
        await process.wait()


async def test_it_stores_what_we_sent_once_and_nothing_else(receiver: Running) -> None:
    assert await receiver.call("id1") == 204
    assert await receiver.call("id1") == 204
    assert await receiver.call("id2", OTHER) == 401
    assert await receiver.call("id3", at=datetime.now(UTC) - timedelta(minutes=6)) == 401
    assert receiver.stored() == [("id1", BODY)]
