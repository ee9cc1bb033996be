"""What goes wrong with a stack."""


class StackError(RuntimeError):
    """Its text is for who asked: what is wrong, and what to do about it."""
