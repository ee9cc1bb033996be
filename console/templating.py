"""Pages as HTML: what comes from outside is text in them; what a template does not know is an error."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from console import words

ENVIRONMENT: Final = Environment(
    loader=PackageLoader("console"),
    # Of all templates: there is no other kind here.
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {"ago": words.ago, "exactly": words.exactly, "short_id": words.short_id}


def render(name: str, **context: object) -> str:
    return ENVIRONMENT.get_template(f"{name}.html").render(context)
