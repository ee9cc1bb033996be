"""`sagactl orders`: which there are, one of them as all services know it, and what is done with one."""

import typer

from sagactl.oncall.listing import list_
from sagactl.oncall.order import order
from sagactl.oncall.order_acts import cancel, compensate, refund
from sagactl.oncall.trace import trace
from sagactl.oncall.watching import watch

app = typer.Typer(
    no_args_is_help=True,
    help="Orders: list them, show what all services know about one, cancel or refund it.",
)
app.command("list")(list_)
app.command("show")(order)
app.command("trace")(trace)
app.command("watch")(watch)
app.command("cancel")(cancel)
app.command("refund")(refund)
app.command("compensate")(compensate)
