"""``python -m m0localnet``: run the local chain until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import structlog
import uvloop
from m0common.clock import system_clock
from m0common.errors import SettingsError

from m0localnet import fixtures
from m0localnet.errors import LocalnetError
from m0localnet.node import NodeConfig
from m0localnet.server import run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m m0localnet", description="A local Solana chain (LiteSVM).")
    parser.add_argument("--rpc-port", type=int, default=8899, help="JSON-RPC over HTTP (default %(default)s)")
    parser.add_argument("--ws-port", type=int, default=8900, help="PubSub over WebSocket (default %(default)s)")
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--ledger", type=Path, required=True, help="directory that keeps the chain over restarts")
    parser.add_argument("--slot-ms", type=int, default=400, help="length of a slot (default %(default)s)")
    parser.add_argument(
        "--finality-slots", type=int, default=8, help="ended slots until a slot is final (default %(default)s)"
    )
    parser.add_argument(
        "--allow-admin", action="store_true", help="offer the test-only methods that move time and set accounts"
    )
    _add_fixtures(parser.add_argument_group("what a new chain begins with (a chain that exists ignores it)"))
    parser.add_argument("--log-json", action="store_true", help="log JSON lines, as when not writing to a terminal")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args()
    if not 10 <= options.slot_ms <= 60_000:
        parser.error(f"--slot-ms must lie between 10 and 60000, got {options.slot_ms}")
    if not 1 <= options.finality_slots <= 150:
        parser.error(f"--finality-slots must lie between 1 and 150, got {options.finality_slots}")
    return options


def _add_fixtures(group: argparse._ArgumentGroup) -> None:
    program, account = ("ADDRESS", "FILE.so"), ("ADDRESS", "FILE.json")
    group.add_argument(
        "--bpf-program",
        nargs=2,
        metavar=program,
        action="append",
        default=[],
        help="a program that nobody can upgrade; ADDRESS may be a key file",
    )
    group.add_argument(
        "--upgradeable-program",
        nargs=3,
        metavar=(*program, "AUTHORITY"),
        action="append",
        default=[],
        help="a program with its upgrade authority, an address, a key file or none",
    )
    group.add_argument(
        "--account",
        nargs=2,
        metavar=account,
        action="append",
        default=[],
        help="an account as `solana account --output json-compact` writes it; ADDRESS - is the one in the file",
    )
    group.add_argument(
        "--account-dir", type=Path, metavar="FOLDER", action="append", default=[], help="every account file in it"
    )


def _read_fixtures(options: argparse.Namespace) -> fixtures.Fixtures:
    programs = [(address, file, None) for address, file in options.bpf_program]
    programs += [(address, file, authority) for address, file, authority in options.upgradeable_program]
    return fixtures.read(programs, options.account, options.account_dir)


def _configure_logs(*, as_json: bool, level: str) -> None:
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Third-party libraries speak up only about what needs someone.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def main() -> int:
    """Run the node; returns the exit code."""
    options = _arguments()
    _configure_logs(as_json=options.log_json or not sys.stderr.isatty(), level=options.log_level)
    try:
        clock = system_clock(os.environ.get("M0_ENV", "dev"))
    except SettingsError as error:
        print(f"localnet: {error}", file=sys.stderr)
        return 2
    try:
        begin = _read_fixtures(options)
        config = NodeConfig(options.ledger, options.slot_ms, options.finality_slots, options.allow_admin, begin)
        uvloop.run(run(config, clock, options.bind, options.rpc_port, options.ws_port))
    except LocalnetError as error:
        print(f"localnet: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
