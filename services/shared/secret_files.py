"""The files of the Secrets that a process has: where they are, and whether they are still the same."""

import hashlib
import os
from pathlib import Path


def folder() -> Path | None:
    """SECRETS_DIR; None without one."""
    found = os.environ.get("SECRETS_DIR")
    return Path(found) if found else None


def fingerprint(folder: Path) -> str:
    """Digest of the names and contents of the files. One that cannot be read counts as empty."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("[!.]*")):
        digest.update(f"{file.name}\n{_content(file)}\n".encode())
    return digest.hexdigest()


def _content(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:  # it is being replaced, and read again after a while
        return ""
