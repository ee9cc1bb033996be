"""What is written into the servers' configuration, wherever the stack's directory is."""

from pathlib import Path

import pytest

from dev.credentials import Credentials
from dev.plan import DirectoryError
from dev.servers import Redis
from dev.stack import Stack


def test_the_directory_in_redis_conf_is_quoted(tmp_path: Path) -> None:
    directory = tmp_path / 'my "own" #1 \\ runs'
    Redis(directory, 6379, "pw", Credentials().users).programs()
    lines = (directory / "redis.conf").read_text().splitlines()
    assert f'dir "{tmp_path}/my \\"own\\" #1 \\\\ runs"' in lines


@pytest.mark.parametrize("name", ["it's mine", 'my "own"'])
async def test_a_directory_that_rabbitmq_cannot_live_in_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(DirectoryError, match="without quotation marks"):
        await Stack(tmp_path / name, services=()).up()
