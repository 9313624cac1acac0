"""Leases: of all processes that could do a thing, one does it at a time.

A lease is a row with a holder, a fencing number and an end by the store's clock (`rows`). A `Candidate` takes the lease
when it can, renews it, and works only meanwhile. No lease is more than a good guess: a process may be stopped for a
minute between looking and acting. So what it does is refused where it lands, by the fencing number in the transaction
that writes (`rows.fenced`), or by a transactional id in Kafka, which is the same idea (`stream.broker.Transactions`).
"""
