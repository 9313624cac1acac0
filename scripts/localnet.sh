#!/bin/sh
# A Solana chain of this machine, on 8899 and 8900; its options are those of `m0 localnet`.
cd "$(dirname "$0")/.." && exec .venv/bin/m0 localnet "$@"
