"""The criteria of the Online Marketplace benchmark, on our API: `make marketplace`."""
