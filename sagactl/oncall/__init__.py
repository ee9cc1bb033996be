"""What a person on call needs: check a shop, see and redrive its dead letters, sweep its stuck orders."""
