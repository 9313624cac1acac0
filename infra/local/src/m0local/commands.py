"""The commands that this package adds to `m0`; read to list them, so it imports nothing of the stack."""

from m0cli.registry import Command

PANEL = "The local stack"
COMMANDS: dict[str, Command] = {
    "up": Command("m0local.cli", "Start everything and wait until it is ready.", PANEL),
    "down": Command("m0local.cli", "Stop everything; data stays.", PANEL),
    "status": Command("m0local.cli", "What runs, is it ready, where is it reached.", PANEL),
    "logs": Command("m0local.cli", "The last lines of a service's log; -f follows it.", PANEL),
    "clean": Command("m0local.cli", "Stop everything and drop its data.", PANEL),
    "localnet": Command("m0local.localnet", "A Solana chain of this machine alone, until it is stopped.", PANEL),
}
