"""`make recording`: the README's pictures of a terminal, filmed from real runs."""
