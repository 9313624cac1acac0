"""Epochs and what their signers did."""
