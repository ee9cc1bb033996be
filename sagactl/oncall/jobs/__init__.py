"""Many letters at once: chosen, planned, acted on one by one, and each followed to what became of it."""
