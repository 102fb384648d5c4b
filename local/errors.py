"""The one error of the laptop cloud."""


class LocalError(Exception):
    """The laptop cloud cannot do what was asked.

    The message is one line for a person: what was wrong, where, and what to do.
    """
