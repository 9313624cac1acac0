"""One folder per domain, with the same file names in each, found by the entry point group `m0.domains`.

`history`, `timeline` and `rows` turn committed data into a history that ingest plays; no deciding file imports them.
"""
