"""Pictures of a terminal as one animated SVG: a strip of film that moves past a window, without any script.

Rows that were seen more than once are drawn once, and used where they are seen: it makes the file small.
"""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from dev.recording.camera import Picture, Row, Run

# Nobody wants to watch servers start: what does not change is cut to this many seconds.
LONGEST_SECONDS: Final = 1.0
SHORTEST_SECONDS: Final = 0.12
LAST_SECONDS: Final = 8.0
CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 8.4, 18, 14
MARGIN, BAR = 16, 36
BACKGROUND, FOREGROUND, EDGE = "#0d1117", "#e6edf3", "#30363d"
COLOURS: Final = {
    "default": FOREGROUND,
    "black": "#6e7681",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "yellow": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": "#e6edf3",
}


def svg(pictures: Sequence[Picture], columns: int, rows: int, title: str) -> str:
    """The whole file. Loops, and stays for a while at the last picture."""
    cut = thinned(pictures)
    numbers: dict[Row, int] = {}
    strip = "".join(_frame(number, picture, numbers, rows) for number, picture in enumerate(cut))
    drawn = "".join(f'<g id="r{number}">{_drawn(row)}</g>' for row, number in numbers.items())
    width, height = columns * CELL_WIDTH + 2 * MARGIN, rows * CELL_HEIGHT + BAR + MARGIN
    inside = f'width="{columns * CELL_WIDTH:g}" height="{rows * CELL_HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" width="{width:g}"'
        f' role="img" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace"'
        f' font-size="{FONT_SIZE}"><title>{escape(title)}</title><style>{_style(cut, rows)}</style>'
        f"<defs>{drawn}</defs>"
        f'<rect width="{width:g}" height="{height}" rx="10" fill="{BACKGROUND}" stroke="{EDGE}"/>'
        f'<text x="{MARGIN}" y="23" fill="{COLOURS["black"]}">{escape(title)}</text>'
        f'<svg x="{MARGIN}" y="{BAR}" {inside}><g id="film">{strip}</g></svg></svg>\n'
    )


def thinned(pictures: Sequence[Picture]) -> list[Picture]:
    """Pictures that last neither too long nor too short; a short one gives way to what follows."""
    kept: list[Picture] = []
    now = 0.0
    for picture, following in zip(pictures, [*pictures[1:], None], strict=True):
        lasts = LAST_SECONDS if following is None else following.at - picture.at
        if following is not None and lasts < SHORTEST_SECONDS:
            continue
        kept.append(Picture(now, picture.rows))
        now += lasts if following is None else min(lasts, LONGEST_SECONDS)
    return kept


def _style(pictures: Sequence[Picture], rows: int) -> str:
    """Steps from picture to picture, and the classes of the runs."""
    total = pictures[-1].at + LAST_SECONDS
    steps = "".join(
        f"{100 * picture.at / total:.2f}%{{transform:translateY({-number * rows * CELL_HEIGHT}px)}}"
        for number, picture in enumerate(pictures)
    )
    classes = "".join(f".{name}{{fill:{colour}}}" for name, colour in COLOURS.items())
    return (
        f"text{{white-space:pre;fill:{FOREGROUND}}}.b{{font-weight:bold}}{classes}"
        # Where nothing moves, such as on paper, the last picture is seen.
        f"#film{{transform:translateY({-(len(pictures) - 1) * rows * CELL_HEIGHT}px)}}"
        f"#film{{animation:film {total:.1f}s step-end infinite}}@keyframes film{{{steps}}}"
    )


def _frame(number: int, picture: Picture, numbers: dict[Row, int], rows: int) -> str:
    """One picture of the strip. `numbers` gets the rows that were not seen before."""
    uses = "".join(
        f'<use href="#r{numbers.setdefault(row, len(numbers))}" y="{line * CELL_HEIGHT}"/>'
        for line, row in enumerate(picture.rows[:rows])
        if row
    )
    return f'<g transform="translate(0 {number * rows * CELL_HEIGHT})">{uses}</g>'


def _drawn(row: Row) -> str:
    return "".join(map(_text, row))


def _text(run: Run) -> str:
    """At the column where it stood, as wide as it was there, whatever font the reader has."""
    start = len(run.text) - len(run.text.lstrip())
    text = run.text.lstrip()
    classes = " ".join(_classes(run))
    return (
        f'<text x="{(run.column + start) * CELL_WIDTH:g}" y="{FONT_SIZE}" class="{classes}"'
        f' textLength="{len(text) * CELL_WIDTH:g}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
    )


def _classes(run: Run) -> Iterator[str]:
    colour = run.colour.removeprefix("bright")
    yield colour if colour in COLOURS else "default"
    if run.bold:
        yield "b"
