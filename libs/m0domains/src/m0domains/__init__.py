"""One folder per domain, with the same file names in each, found by the entry point group `m0.domains`.

`history`, `timeline` and `rows` turn committed data into what a replay plays; no deciding file imports them.
"""
