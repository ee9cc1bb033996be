"""Two versions of the code side by side, up and back down, while customers order."""
