"""Canonical events to windowed features."""
