"""Connectors, registry events and the epoch clock, written to m0.raw."""
