"""The scales of probabilities and scores: what is hashed never holds a float."""

PPB = 1_000_000_000
BPS = 10_000
