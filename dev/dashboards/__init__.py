"""Dashboards: what they show (`boards.py`), for Grafana (`grafana.py`) and drawn here (`picture.py`)."""
