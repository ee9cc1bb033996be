"""`python -m sagactl.smoke`: what the umbrella chart's test pod runs."""

from sagactl.smoke.purchase import app

app()
