"""What counts as stale and what is done about it. The operator and `sagactl stuck sweep` share it.

It knows no Kubernetes: sagactl's image has neither kopf nor the client.
"""
