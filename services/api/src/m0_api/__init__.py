"""The REST interface: markets, epochs, predictions with their proofs, bundles; one folder per domain."""
