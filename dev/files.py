"""Files for their owner's eyes only."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_private(path: Path, text: str) -> Path:
    """All at once: whoever reads it meanwhile sees the whole of what was there, or of this."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text)
    os.replace(file.name, path)  # noqa: PTH105  # the name is no Path
    return path
