"""`python -m sagactl`."""

from sagactl.cli import app

app(prog_name="sagactl")
