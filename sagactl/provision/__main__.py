"""`python -m sagactl.provision`: what the charts run beside the servers."""

from sagactl.provision.accounts import app

app()
