"""Contracts and plumbing every M0Club service shares."""
