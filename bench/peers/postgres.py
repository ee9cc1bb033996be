"""A PostgreSQL of a peer's own, of Debian's package, durable as it is by default: every commit is synced."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from dev.processes import Program
from sagactl.polling import until

PROGRAMS: Final = Path("/usr/lib/postgresql")
USER: Final = "postgres"
STARTS_WITHIN_SECONDS: Final = 60.0
# What anybody sets who has read its manual: a cache as large as the one that MongoDB has here, room for all
# pools, fewer checkpoints. `fsync`, `synchronous_commit` and `full_page_writes` are on by default.
SETTINGS: Final = {"shared_buffers": "1GB", "max_connections": "200", "max_wal_size": "4GB"}


class PostgreSQL(NamedTuple):
    directory: Path
    port: int

    @property
    def url(self) -> str:
        return self.url_of("shop")

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def program(self) -> Program:
        """Raises CalledProcessError where there is no package of PostgreSQL, or it does not work."""
        data = self.directory / "data"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        if os.geteuid() == 0:  # it refuses to be root
            shutil.chown(data, USER)
        initdb = [*_as_its_user(), str(_program("initdb")), "--pgdata", str(data), "--username", USER]
        subprocess.run([*initdb, "--auth", "trust"], check=True, capture_output=True)  # noqa: S603  # ours
        command = [*_as_its_user(), str(_program("postgres")), "-D", str(data), "-p", str(self.port)]
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **SETTINGS}
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return Program("postgresql", command, os.environ, self.directory)

    async def create(self, *databases: str) -> None:
        """Once it answers. Raises NotInTimeError where it never does."""
        engine = sa.create_engine(
            self.url_of("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )

        async def answers() -> bool:
            try:
                with engine.connect():
                    return True
            except OperationalError:
                return False

        await until(answers, within=STARTS_WITHIN_SECONDS, what="PostgreSQL answers")
        with engine.connect() as connection:
            for name in databases:
                connection.execute(sa.text(f'CREATE DATABASE "{name}"'))


def _as_its_user() -> Sequence[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]


def _program(name: str) -> Path:
    """Of the newest version that is installed. Raises FileNotFoundError."""
    found = sorted(PROGRAMS.glob(f"*/bin/{name}"), key=lambda path: int(path.parents[1].name))
    if not found:
        raise FileNotFoundError(f"no {name} in {PROGRAMS}: apt-get install postgresql")
    return found[-1]
