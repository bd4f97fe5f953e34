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


def hmac_sql(key: bytes, text: str) -> str:
    """SQL of DuckDB, which knows SHA-256 alone, for the HMAC-SHA-256 (RFC 2104) of a text, in hexadecimal digits.

    Args:
        key: the key. It stands in the SQL: put it into a macro, so that no query holds it.
        text: SQL of the text.
    """
    block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    inner, outer = (_blob(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
    return f"sha256({outer} || unhex(sha256({inner} || encode({text}))))"


def _blob(content: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'::BLOB"
