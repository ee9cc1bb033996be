"""A person's own login at a shop's gateway, in a file that nobody else can read: `sagactl login`.

Its refresh token works once: who renews it does so alone, and writes the next one down before others may.
"""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

# What others than the owner may do.
_OTHERS: Final = 0o077


class NotKeptError(ValueError):
    """There is a file, and it is not to be used. The text says why, and what to do."""


class NoHomeError(NotKeptError):
    """There is no place for it, as in a container whose user is only a number."""


@dataclass(frozen=True)
class KeptLogin:
    gateway: str
    email: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    # Of the access token.
    expires_at: datetime


def file() -> Path:
    """Where it is, or would be."""
    return _folder() / "login.json"


def _folder() -> Path:
    """Raises NoHomeError."""
    if given := os.environ.get("XDG_CONFIG_HOME"):
        return Path(given) / "sagactl"
    try:
        return Path.home() / ".config" / "sagactl"
    except RuntimeError as error:
        raise NoHomeError("this user has no home: set XDG_CONFIG_HOME") from error


def kept() -> KeptLogin | None:
    """None where nobody is logged in, or can be. Raises NotKeptError where others may read it, OSError."""
    try:
        path = file()
        for each in (path.parent, path):
            _check(each)
        text = path.read_bytes()
    except (NoHomeError, FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    try:
        return msgspec.json.decode(text, type=KeptLogin)
    except msgspec.MsgspecError as error:
        raise NotKeptError(f"{path} is not as sagactl writes it: remove it, and sagactl login") from error


def _check(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & _OTHERS:
        raise NotKeptError(f"{path} can be used by others: remove {file()}, and sagactl login")


def keep(login: KeptLogin) -> None:
    """In place of any before. Raises OSError."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    # It is its owner's alone from the first moment on.
    descriptor, new = tempfile.mkstemp(dir=folder)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(msgspec.json.encode(login))
        opened.flush()
        os.fsync(opened.fileno())
    Path(new).replace(file())


def forget() -> None:
    """Raises OSError."""
    file().unlink(missing_ok=True)


@asynccontextmanager
async def alone() -> AsyncIterator[None]:
    """While nobody else on this machine renews the login. Raises OSError."""
    descriptor = os.open(_folder(), os.O_RDONLY)
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
