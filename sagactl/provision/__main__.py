"""`python -m sagactl.provision`: what the charts' jobs run."""

from sagactl.provision.accounts import app

app()
