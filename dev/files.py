"""Files for their owner's eyes only."""

from pathlib import Path


def write_private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
    return path
