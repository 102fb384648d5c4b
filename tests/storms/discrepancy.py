"""The error that simulations raise."""


class Discrepancy(AssertionError):
    """The table, the log or the alerts differ from the expected ones."""
