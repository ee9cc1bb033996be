"""`sagactl orders`: one order, as all services know it."""

import typer

from sagactl.oncall.order import order
from sagactl.oncall.trace import trace

app = typer.Typer(no_args_is_help=True, help="Orders: what all services know of one.")
app.command("show")(order)
app.command("trace")(trace)
