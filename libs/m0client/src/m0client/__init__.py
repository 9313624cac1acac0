"""Public Python SDK: markets, predictions, streams and proof verification."""
