"""Why an epoch cannot be replayed, which says nothing of whether it was said rightly."""

from m0common.errors import M0Error


class Irreplayable(M0Error):
    """What a replay of an epoch reads is not to be had: the log no longer holds it, or a release is not installed. The
    message names it and what to do instead.
    """
