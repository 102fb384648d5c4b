"""What a storm is there to find."""


class Discrepancy(AssertionError):
    """Table, log or alerts are not what they must be."""
