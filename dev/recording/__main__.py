"""Runs the demo in a terminal of its own, and writes what was to be seen there as an animated SVG."""

import sys
from pathlib import Path

from dev.recording.camera import film
from dev.recording.projector import svg

COLUMNS, ROWS = 100, 30

if __name__ == "__main__":
    scenes = film([sys.executable, "-m", "dev.demo"], COLUMNS, ROWS)
    Path(sys.argv[1]).write_text(svg(scenes, COLUMNS, ROWS, title="$ make demo"))
