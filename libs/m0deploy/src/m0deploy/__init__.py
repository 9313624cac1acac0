"""Bringing a deployment to life, from empty servers: what `m0 keys`, `m0 bootstrap` and `make up` do.

`keys` makes what is secret, `steps` goes through the rest: schema, topics with users and rights, programs and accounts
on chain, catalogs in the log. Every step looks first, so that it may run again at any time, and says what it would do
before it does.
"""
