"""Borsh written the slow and obvious way, to compare the compiled codecs with."""


def encode(kind, value, types):
    if isinstance(kind, str):
        if kind in {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"}:
            return value.to_bytes(int(kind[1:]) // 8, "little", signed=kind[0] == "i")
        if kind == "bool":
            return bytes([value])
        if kind == "pubkey":
            return bytes(value)
        raw = value.encode() if kind == "string" else value
        return len(raw).to_bytes(4, "little") + raw
    ((name, inner),) = kind.items()
    if name == "array":
        return b"".join(encode(inner[0], v, types) for v in value)
    if name == "vec":
        return len(value).to_bytes(4, "little") + b"".join(encode(inner, v, types) for v in value)
    if name == "option":
        return b"\0" if value is None else b"\1" + encode(inner, value, types)
    return b"".join(encode(f["type"], value[f["name"]], types) for f in types[inner["name"]]["fields"])
