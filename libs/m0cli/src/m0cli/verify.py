"""`m0 verify MARKET_ID`: check a prediction's proof against the chain."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from m0client import CHECKS, Client, M0ClientError, VerificationError, Verified
from m0client.checks import read_proof

from m0cli import targets
from m0cli.arguments import EPOCH_MAX

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def verify(
    market_id: Annotated[str, typer.Argument(metavar="MARKET_ID", help="The market, as /v1/markets lists it.")],
    api: targets.Api = None,
    rpc: targets.Rpc = None,
    program: targets.Program = None,
    epoch: Annotated[
        int | None, typer.Option(help="An older epoch than the newest final one.", min=0, max=EPOCH_MAX)
    ] = None,
    file: Annotated[
        str | None, typer.Option(help="Read the proof from this file (- for standard input), not from the API.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Print the verified root and exit 0, or name the first check that failed and exit 1.

    The checks are schema, leaf, path, header, bundle_hash, attestations and chain. Outcomes stand in the order of
    /v1/markets. With --file and --rpc nothing is asked of the API: a proof and a Solana node are enough.
    """
    if not re.fullmatch(r"[A-Z0-9_]{1,64}", market_id):
        raise typer.BadParameter(f"{market_id!r}: use 1 to 64 of A-Z, 0-9 and _", param_hint="MARKET_ID")
    text = _read(file) if file is not None else None
    target = targets.resolve(api, rpc, program)
    try:
        verified = _verify(target, market_id, epoch, text)
    except VerificationError as error:
        _fail(as_json, market_id, error.check, error.reason)
    except M0ClientError as error:
        _fail(as_json, market_id, None, str(error))
    else:
        print(json.dumps(_as_json(verified)) if as_json else _as_text(verified, pinned=target.program is not None))


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--file") from error


def _verify(target: targets.Target, market_id: str, epoch: int | None, text: bytes | None) -> Verified:
    with Client(target.api, rpc_url=target.rpc, oracle_program=target.program) as client:
        proof = client.proof(market_id, epoch) if text is None else read_proof(text)
        for name, said, wanted in (("market", proof.market_id, market_id), ("epoch", proof.epoch_id, epoch)):
            if wanted is not None and said != wanted:
                raise VerificationError("schema", f"the proof is of {name} {said}, not of {wanted}")
        return client.verify(proof)


def _fail(as_json: bool, market_id: str, check: str | None, reason: str) -> NoReturn:
    if as_json:
        print(json.dumps({"verified": False, "market_id": market_id, "check": check, "reason": reason}))
    elif check is None:
        print(f"m0 verify: {reason}", file=sys.stderr)
    else:
        print(f"NOT VERIFIED {market_id}: {check} failed: {reason}")
    raise typer.Exit(1)


def _as_json(verified: Verified) -> dict[str, object]:
    return {
        "verified": True,
        "market_id": verified.market_id,
        "catalog": verified.catalog,
        "epoch_id": verified.epoch_id,
        "merkle_root": verified.merkle_root,
        "bundle_hash": verified.bundle_hash,
        "signers": list(verified.signers),
        "threshold": verified.threshold,
        "oracle_program": verified.oracle_program,
        "source": verified.source,
        "slot": verified.slot,
        "checks": list(CHECKS),
        "outcomes": [list(outcome) for outcome in verified.leaf.outcomes],
        "risk_bps": verified.leaf.risk_bps,
        "quality_flags": verified.leaf.flags,
    }


def _as_text(verified: Verified, *, pinned: bool) -> str:
    where = "Epoch account" if verified.source == "epoch" else "catalog's ring of finalized roots"
    outcomes = "  ".join(f"{o.p / 1e7:.2f}% [{o.lo / 1e7:.2f}, {o.hi / 1e7:.2f}]" for o in verified.leaf.outcomes)
    trust = "" if pinned else "  (named by the proof alone: pass --program to insist on the one you know)"
    return "\n".join(
        (
            f"VERIFIED {verified.market_id}: {verified.catalog} epoch {verified.epoch_id}",
            f"root      {verified.merkle_root}",
            f"bundle    {verified.bundle_hash}",
            f"signers   {len(verified.signers)} attest, {verified.threshold} needed",
            f"chain     {where}, read at finalized slot {verified.slot}",
            f"program   {verified.oracle_program}{trust}",
            f"leaf      {outcomes or 'blocked: no outcomes'}",
        )
    )
