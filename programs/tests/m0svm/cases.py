"""For every instruction of both programs: a world in which it would succeed, and the call."""

from collections.abc import Callable

from solders.pubkey import Pubkey

from m0svm.call import Call
from m0svm.oracle import COMMIT_MS, FIRST_EPOCH, REVEAL_MS, Oracle, bundle
from m0svm.registry import START_MS, Registry

World = Oracle | Registry
E = FIRST_EPOCH


def _oracle(name: str) -> tuple[Oracle, Call]:
    o = Oracle()
    if name == "initialize":
        return o, o.initialize()
    o.ready()
    simple: dict[str, Callable[[], Call]] = {
        "propose_admin": lambda: o.call(name, {}, new_admin=Pubkey.new_unique()),
        "set_guardian": lambda: o.call(name, {}, guardian=Pubkey.new_unique()),
        "set_paused": lambda: o.call(name, {}, paused=True),
        "create_signer_set": lambda: o.create_signer_set(2),
        "retire_signer_set": lambda: o.call(name, {}),
        "create_catalog": lambda: o.create_catalog(b"crypto".ljust(16, b"\0")),
    }
    if name in simple:
        return o, simple[name]()
    if name == "accept_admin":
        heir = o.chain.funded()
        o.call("propose_admin", {}, new_admin=heir.pubkey()).ok()
        return o, o.call(name, {"authority": heir})
    if name == "set_catalog_signer_set":
        o.create_signer_set(2).ok()
        return o, o.call(name, {"signer_set": o.set_at(2)})
    b = bundle(E)
    o.at_end_of(E)
    if name == "open_epoch":
        return o, o.open(E)
    o.open(E).ok()
    if name == "commit":
        return o, o.commit(E, 0, b)
    if name == "expire_epoch":
        o.at_end_of(E, COMMIT_MS + REVEAL_MS + 1000)
        return o, o.expire(E)
    for who in range(3):
        o.commit(E, who, b).ok()
    if name == "reveal":
        return o, o.reveal(E, 0, b)
    for who in range(3):
        o.reveal(E, who, b).ok()
    if name == "finalize_epoch":
        return o, o.finalize(E)
    o.finalize(E).ok()
    if name == "verify_prediction":
        return o, o.verify(b, 3)
    if name == "post_prediction":
        o.post(b, 3).ok()
        return o, o.post(o.finalized(E + 1), 3)
    o.at_end_of(E, COMMIT_MS + REVEAL_MS + 61_000)
    assert name == "close_epoch", name
    return o, o.close(E)


def _registry(name: str) -> tuple[Registry, Call]:
    r = Registry()
    if name == "initialize_root":
        return r, r.initialize()
    r.ready()
    simple: dict[str, Callable[[], Call]] = {
        "propose_admin": lambda: r.call(name, {}, new_admin=Pubkey.new_unique()),
        "set_roles": lambda: r.call(name, {}, **r.roles()),
        "set_paused": lambda: r.call(name, {"authority": r.admin}, paused=True),
        "create_catalog": lambda: r.create_catalog(b"crypto".ljust(16, b"\0")),
        "create_market": r.create_market,
    }
    if name in simple:
        return r, simple[name]()
    if name == "accept_admin":
        heir = r.chain.funded()
        r.call("propose_admin", {}, new_admin=heir.pubkey()).ok()
        return r, r.call(name, {"new_admin": heir})
    r.active()
    if name == "set_market_state":
        return r, r.set_state(2)
    r.chain.at(START_MS + 3_600_000)
    assert name == "resolve_market", name
    return r, r.resolve()


def case(program: str, name: str) -> tuple[World, Call]:
    """A fresh world and the call that would succeed in it."""
    return _oracle(name) if program == "m0_oracle" else _registry(name)
