"""`sagactl mails`: what customers are written, without writing to anybody."""

from pathlib import Path
from typing import Annotated

import typer

from sagactl.oncall.sample_mails import SHOP, examples, sender_in
from services.shared.mail.writing import LANGUAGES

app = typer.Typer(no_args_is_help=True, help="Mails to customers.")


@app.callback()
def _group() -> None:
    """Makes a group of it while it has one command."""


@app.command()
def preview(
    out: Annotated[Path, typer.Option(help="The folder that they are written to.")] = Path("mails"),
    shop: Annotated[str, typer.Option(help="The shop's name, as in MAIL_FROM.")] = SHOP,
) -> None:
    """Write an example of every mail in every language: as a mail (.eml), and its parts (.html, .txt)."""
    out.mkdir(parents=True, exist_ok=True)
    for language in LANGUAGES:
        for kind, written in examples(sender_in(language, shop)):
            name = f"{kind}.{language}"
            (out / f"{name}.eml").write_bytes(written.as_bytes())
            for suffix, part in (("html", "html"), ("txt", "plain")):
                body = written.get_body((part,))
                assert body is not None  # noqa: S101  # it was composed with both
                (out / f"{name}.{suffix}").write_text(body.get_content())
            typer.echo(f"{out / name}: {written['Subject']}")
