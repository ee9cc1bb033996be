"""`sagactl orders`: which there are, and one of them, as all services know it."""

import typer

from sagactl.oncall.listing import list_
from sagactl.oncall.order import order
from sagactl.oncall.trace import trace
from sagactl.oncall.watching import watch

app = typer.Typer(no_args_is_help=True, help="Orders: which there are, and what all services know of one.")
app.command("list")(list_)
app.command("show")(order)
app.command("trace")(trace)
app.command("watch")(watch)
