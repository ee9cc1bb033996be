"""`make recording`: the README's picture of `make demo`, filmed from a real run."""
