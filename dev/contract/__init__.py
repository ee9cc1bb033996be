"""The contract of events, as documents: written by `make docs`, held against what was released."""
