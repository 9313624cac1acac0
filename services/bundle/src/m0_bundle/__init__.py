"""Final predictions of an epoch to one Merkle bundle."""
