"""The error class of the laptop cloud."""


class LocalError(Exception):
    """A command on the laptop cloud failed.

    The message is one line for people: what is wrong, where, and what to do.
    """
