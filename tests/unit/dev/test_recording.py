"""The README's picture: what a terminal showed, cut to what is worth watching, as one animated SVG."""

import re
import sys
from xml.etree import ElementTree as ET

import pytest

from dev.recording.camera import Picture, RecordingError, Run, film
from dev.recording.projector import LAST_SECONDS, LONGEST_SECONDS, svg, thinned

HELLO = (Run(2, "hello", "green", bold=True),)
BYE = (Run(0, "good & bye", "default", bold=False),)
PROGRAM = r"print('\x1b[1;32mhello\x1b[0m world')"


def test_a_program_is_filmed_with_its_colours() -> None:
    last = film([sys.executable, "-c", PROGRAM], columns=20, rows=3)[-1]
    assert last.rows[0] == (Run(0, "hello", "green", bold=True), Run(5, " world", "default", bold=False))
    assert last.rows[1:] == ((), ())


def test_a_program_that_fails_is_not_shown() -> None:
    with pytest.raises(RecordingError, match="exit code 3"):
        film([sys.executable, "-c", "raise SystemExit(3)"], columns=20, rows=3)


def test_pictures_last_neither_too_long_nor_too_short() -> None:
    seen = [Picture(at, (row,)) for at, row in ((0.0, HELLO), (60.0, BYE), (60.01, HELLO), (61.0, BYE))]
    cut = thinned(seen)
    assert [picture.rows for picture in cut] == [(HELLO,), (HELLO,), (BYE,)]
    assert cut[1].at == LONGEST_SECONDS


def test_the_file_draws_a_row_once_however_often_it_is_seen() -> None:
    pictures = [Picture(0, (HELLO, ())), Picture(1, (HELLO, BYE)), Picture(2, (BYE, HELLO))]
    text = svg(pictures, columns=20, rows=2, title="$ make <demo>")
    ET.fromstring(text)  # noqa: S314  # our own
    assert text.count(">hello</text>") == 1
    assert text.count(">good &amp; bye</text>") == 1
    assert len(re.findall("<use ", text)) == 5
    assert f"animation:film {2 + LAST_SECONDS:.1f}s" in text
