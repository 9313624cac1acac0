"""The index: what the chain and the log say, as rows in Postgres that every service reads.

`migrations` is the schema, `events`, `fold` and `fold_epoch` make rows of the chain's events and `bundles` of the log's
headers and pieces, `tables` writes them in transactions, `queries` reads them, `shapes` is what the public sees
of them, `changes` tells readers that something is new.
"""
