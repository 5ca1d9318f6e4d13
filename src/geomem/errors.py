"""The one error a person can cause: what was given, what was expected, what to do."""


class InputError(ValueError):
    """What the user gave cannot be used; the message is one sentence a person can act on.

    The command line prints the message alone and exits with status 2.
    """
