"""Bundles by content, with their raw bytes."""
