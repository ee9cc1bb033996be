"""`python -m dev.demo`: the product at work, live, on a stack of its own."""
