"""Committed samples of public data; `DATA_LICENSES.md` at the root of the repository says whose they are."""
