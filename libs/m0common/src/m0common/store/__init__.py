"""Postgres: its address (`address`) and the pool (`postgres`). The schema and what is read of it are m0index."""
