#!/bin/sh
# Deploy the programs that a cluster does not have: deploy_programs.sh localnet. Elsewhere it only says what is due.
cd "$(dirname "$0")/.." && exec .venv/bin/m0 programs deploy "$@"
