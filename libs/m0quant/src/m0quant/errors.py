"""The one error of this package."""


class QuantError(ValueError):
    """A value a model cannot use; the message names it and the remedy."""
