"""The log of a deployment outside Kafka: content-addressed pieces and an index of them, in a folder or S3-compatible
storage.

`collect` fills an archive from Kafka, `broker` reads one as if it were Kafka, `verify` checks every byte of one. How it
is laid out, and why: docs/adr/0026-the-log-is-archived-by-its-own-offsets.md.
"""
