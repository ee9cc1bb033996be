"""`sagactl repair`: the fewest messages and commands that make an order's books sound."""
