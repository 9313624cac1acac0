#!/bin/sh
# Make the Anchor IDLs and the programs' interface.rs from their interface files; --check compares.
cd "$(dirname "$0")/.." && exec .venv/bin/m0 programs idl "$@"
