"""Drives the built programs in LiteSVM through their published IDLs."""
