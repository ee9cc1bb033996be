"""Deployment: the charts and the local stack make the services' users, and a replica set, with it."""
