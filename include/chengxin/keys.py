"""Random keys that a house makes for itself and keeps beside its lake, each in a file that only it reads."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

_BLOCK = 64


def kept(file: Path) -> bytes:
    """The key in a file: 32 random bytes, made on first use."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(f".{secrets.token_hex(4)}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(32), "ascii")
        try:
            # Linked, not moved: of two that come at once, the second keeps the first one's.
            os.link(new, file)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return bytes.fromhex(file.read_text("ascii"))


def pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and outer pad of HMAC-SHA-256 (RFC 2104), for engines that only know SHA-256."""
    block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)
