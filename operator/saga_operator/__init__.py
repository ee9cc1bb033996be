"""The SagaMonitor operator: finds orders that got stuck and has them compensated."""
