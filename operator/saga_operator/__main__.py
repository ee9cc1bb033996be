"""`python -m saga_operator` runs the operator."""

from saga_operator.main import main

main()
