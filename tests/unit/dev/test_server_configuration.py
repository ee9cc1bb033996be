"""What is written into the servers' configuration, wherever the stack's directory is."""

import re
from pathlib import Path

import pytest

from dev.credentials import Credentials
from dev.helm import ROOT
from dev.plan import DirectoryError
from dev.servers import MongoDB, Redis
from dev.stack import Stack


def test_the_directory_in_redis_conf_is_quoted(tmp_path: Path) -> None:
    directory = tmp_path / 'my "own" #1 \\ runs'
    Redis(directory, 6379, "pw", Credentials().users).programs()
    lines = (directory / "redis.conf").read_text().splitlines()
    assert f'dir "{tmp_path}/my \\"own\\" #1 \\\\ runs"' in lines


def test_redis_keeps_on_disk_and_in_memory_what_the_chart_lets_it(tmp_path: Path) -> None:
    Redis(tmp_path, 6379, "pw", Credentials().users).programs()
    lines = (tmp_path / "redis.conf").read_text().splitlines()
    chart = ROOT / "charts/redis"
    [memory] = re.findall(r"^maxMemory: (\S+)$", (chart / "values.yaml").read_text(), re.MULTILINE)
    template = (chart / "templates/redis.yaml").read_text().replace("{{ .Values.maxMemory }}", memory)
    for setting in ("save", "appendonly", "maxmemory", "maxmemory-policy"):
        [value] = re.findall(rf"--{setting} ([^\s{{]+)", template)
        assert f"{setting} {value}" in lines


@pytest.mark.parametrize("name", ["it's mine", 'my "own"'])
async def test_a_directory_that_rabbitmq_cannot_live_in_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(DirectoryError, match="without quotation marks"):
        await Stack(tmp_path / name, services=()).up()


def test_a_set_of_three_has_three_programs_with_data_of_their_own_and_is_reached_by_all_of_them(
    tmp_path: Path,
) -> None:
    database = MongoDB(tmp_path, [4001, 4002, 4003], password="pw", key="key")
    assert [program.name for program in database.programs()] == ["mongodb", "mongodb-2", "mongodb-3"]
    assert {folder.name for folder in tmp_path.iterdir() if folder.is_dir()} == {"data", "data-2", "data-3"}
    assert database.url == "mongodb://root:pw@127.0.0.1:4001,127.0.0.1:4002,127.0.0.1:4003/?replicaSet=rs0"
    assert database.members["mongodb-2"] == "127.0.0.1:4002"
