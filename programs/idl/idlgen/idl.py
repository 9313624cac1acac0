"""Renders an interface as an Anchor IDL, spec 0.1.0."""

from __future__ import annotations

from typing import Any

from idlgen.model import AccountRef, ErrorCode, Field, Instruction, Interface, Struct, Type, discriminator

SYSTEM_PROGRAM = "11111111111111111111111111111111"


def _type(of: Type) -> Any:  # JSON
    if of.kind == "array" and of.inner:
        return {"array": [_type(of.inner), of.length]}
    if of.kind == "vec" and of.inner:
        return {"vec": _type(of.inner)}
    if of.kind == "struct":
        return {"defined": {"name": of.name}}
    return of.kind


def _fields(fields: tuple[Field, ...]) -> list[dict[str, Any]]:
    return [{"name": f.name, "type": _type(f.type)} for f in fields]


def _seed(interface: Interface, instruction: Instruction, seed: str) -> dict[str, Any]:
    if "." not in seed:
        if seed not in {f.name for f in instruction.args}:
            raise ValueError(f"{instruction.name}: seed {seed} is not an argument")
        return {"kind": "arg", "path": seed}
    account, _, field = seed.partition(".")
    struct = interface.struct("".join(p.title() for p in account.split("_")))
    if account not in {a.name for a in instruction.accounts} or field not in {f.name for f in struct.fields}:
        raise ValueError(f"{instruction.name}: seed {seed} names no account field")
    return {"kind": "account", "path": seed, "account": struct.name}


def _account(interface: Interface, instruction: Instruction, ref: AccountRef) -> dict[str, Any]:
    out: dict[str, Any] = {"name": ref.name}
    if ref.writable:
        out["writable"] = True
    if ref.signer:
        out["signer"] = True
    if ref.name == "system_program":
        out["address"] = SYSTEM_PROGRAM
    if ref.pda:
        const = {"kind": "const", "value": list(interface.pdas[ref.pda].encode())}
        out["pda"] = {"seeds": [const, *(_seed(interface, instruction, s) for s in ref.seeds)]}
    return out


def _instruction(interface: Interface, ins: Instruction) -> dict[str, Any]:
    return {
        "name": ins.name,
        "docs": list(ins.docs),
        "discriminator": list(discriminator("global", ins.name)),
        "accounts": [_account(interface, ins, a) for a in ins.accounts],
        "args": _fields(ins.args),
    }


def _struct(struct: Struct) -> dict[str, Any]:
    return {"name": struct.name, "type": {"kind": "struct", "fields": _fields(struct.fields)}}


def render_idl(interface: Interface, common: tuple[ErrorCode, ...]) -> dict[str, Any]:
    """
    The IDL as a JSON object.

    Its address is a placeholder (the system program): program ids are chosen at deployment and never compiled in.
    """
    return {
        "address": SYSTEM_PROGRAM,
        "metadata": {
            "name": interface.name,
            "version": interface.version,
            "spec": "0.1.0",
            "description": interface.description,
        },
        "instructions": [_instruction(interface, i) for i in interface.instructions],
        "accounts": [
            {"name": a.name, "discriminator": list(discriminator("account", a.name))} for a in interface.accounts
        ],
        "events": [{"name": e.name, "discriminator": list(discriminator("event", e.name))} for e in interface.events],
        "errors": [{"code": e.code, "name": e.name, "msg": e.msg} for e in (*common, *interface.errors)],
        "types": [_struct(s) for s in (*interface.accounts, *interface.events, *interface.types)],
    }
