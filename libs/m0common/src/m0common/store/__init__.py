"""Postgres: the pool (`postgres`) and the schema (`migrations`). SQL lives in the repositories of the services."""
