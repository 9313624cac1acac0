"""The indexer: chain events and bundles to Postgres; it alone decides what is final.

Notifications of the node only wake the follower; what is written comes from the ordered history of each program, read
from a cursor that never passes a transaction which could still vanish. The tables are a fold over the stored events, so
applying, promoting and rolling back are one code path.
"""
