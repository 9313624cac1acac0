"""Postgres, Redis and their migrations."""
