"""What keeps a deployment from being made."""

from m0common.errors import M0Error

ANEW = "or begin a new deployment (in a checkout: `make clean`)"
"""The other way out, where what was lost cannot be had again."""


class DeployError(M0Error):
    """What is there is not what was asked for, and no step may change it; the message names both and the remedy."""
