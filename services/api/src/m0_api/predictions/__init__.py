"""Predictions: latest, history and proof."""
