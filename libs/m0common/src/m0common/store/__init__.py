"""Postgres: the pool (`postgres`), the schema (`migrations`) and news of changes (`changes`).

SQL lives in the repositories of the services.
"""
