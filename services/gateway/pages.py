"""The pages that people read in a browser: Swagger UI, and what each problem means; all from here."""

from html import escape
from typing import Final

from fastapi import Response

from services.shared.http.kinds import KINDS

STATIC: Final = "/static"
SWAGGER: Final = "/static/swagger"
ICON: Final = f"{STATIC}/favicon.svg"
# Only our own scripts and styles, no inline code, no frames: a page with a token in it is worth attacking.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
_HEAD: Final = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="{ICON}" type="image/svg+xml">
<link rel="stylesheet" href="{STATIC}/page.css">
"""
_DOCS: Final = f"""\
{_HEAD}<title>sagashop API</title>
<link rel="stylesheet" href="{SWAGGER}/swagger-ui.css">
</head>
<body>
<div id="swagger"></div>
<script src="{SWAGGER}/swagger-ui-bundle.js"></script>
<script src="{STATIC}/docs.js"></script>
</body>
</html>
"""


def docs() -> Response:
    return Response(_DOCS, headers=HEADERS, media_type="text/html")


def errors() -> Response:
    entries = "\n".join(
        f'<section id="{code}"><h2>{code}</h2><p><b>{kind.status} {escape(kind.title)}</b></p>'
        f"<p>{_words(kind.meaning)}</p></section>"
        for code, kind in KINDS.items()
    )
    page = (
        f"{_HEAD}<title>sagashop errors</title>\n</head>\n<body>\n<main>\n<h1>Errors</h1>\n"
        "<p>What the <code>type</code> of a problem document leads to. <code>code</code> is stable: compare"
        ' it, not the sentences. The API is described at <a href="/docs">/docs</a>.</p>\n'
        f"{entries}\n</main>\n</body>\n</html>\n"
    )
    return Response(page, headers=HEADERS, media_type="text/html")


def _words(text: str) -> str:
    """Markdown's marks for code, as HTML: every second part is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
