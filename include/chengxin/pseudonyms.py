"""What stands in the ledger for a subject, a fact's key or a document: keyed, so that nobody can try codes against it.

There are some ten million codes in a province, and anybody can list them: a plain hash of one is as good as the code.
So what stands for a text is an HMAC under a random key of the house, `<var>/ledger.key`, made on first use and put away
with the backups; whoever has the ledger alone learns nothing. The HMAC is over the text's SHA-256, so that the plain
hashes that older versions kept are keyed without knowing what they were of (`erased_rows`); those in the chain of acts
stay as they are, since a chain cannot be changed.

64 characters: `k`, seven digits that name the key, 56 hexadecimal digits of the HMAC. A plain hash has no `k`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chengxin import keys
from chengxin.errors import ConfigError
from chengxin.settings import House

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from chengxin.engine import Connection
    from chengxin.ledger.erased import Erased

KEY_FILE = "ledger.key"
"""In `<var>`. Whoever has it can tell whether a row of the ledger is about a given code."""
FUNCTION = "pseudonym"
"""The macro of DuckDB that does what `Pseudonyms.of` does."""
_DIGITS = 56
_HASHES = ("key_sha256", "subject_sha256", "document_sha256")


@dataclass(frozen=True)
class Pseudonyms:
    """Names things by a key.

    Args:
        key: the house's.
    """

    key: bytes = field(repr=False)

    @cached_property
    def prefix(self) -> str:
        """`k` and the key's own name: says which key made a pseudonym."""
        return "k" + hmac.digest(self.key, b"chengxin: name of the key", "sha256").hex()[:7]

    def of(self, text: str) -> str:
        """What stands for a text."""
        return self.of_hash(plain(text))

    def of_hash(self, sha256: str) -> str:
        """What stands for the text of which only the SHA-256 is known."""
        return self.prefix + hmac.digest(self.key, sha256.encode(), "sha256").hex()[:_DIGITS]

    def also(self, text: str) -> tuple[str, str]:
        """What stands for a text now, and what stood for it in acts of older versions."""
        return self.of(text), plain(text)

    def teach(self, connection: Connection | Any) -> None:
        """Gives a connection of DuckDB the macro `pseudonym(text)`; null stays null."""
        stands = f"'{self.prefix}' || left({keys.hmac_sql(self.key, 'sha256(said)')}, {_DIGITS})"
        sql = f"CREATE OR REPLACE TEMP MACRO {FUNCTION}(said) AS {stands}"
        getattr(connection, "con", connection).execute(sql)


def of_house(house: House) -> Pseudonyms:
    """The house's pseudonyms, with its key."""
    return Pseudonyms(keys.kept(house.var / KEY_FILE))


def plain(text: str) -> str:
    """The SHA-256 of a text: what older versions kept of it."""
    return hashlib.sha256(text.encode()).hexdigest()


def erased_rows(session: Session, names: Pseudonyms, *conditions: Any) -> Sequence[Erased]:
    """The ledger's list of what was erased, after keying the plain hashes that are still in it.

    Args:
        session: an open transaction.
        names: the house's.
        conditions: which rows; none: all.

    Raises:
        ConfigError: the list was made with another key: what was erased could not be told from what was not.
    """
    from sqlalchemy import select

    from chengxin.ledger.erased import Erased

    for row in session.scalars(select(Erased).where(Erased.key_sha256.not_like("k%"))):
        for name in _HASHES:
            if (hashed := getattr(row, name)) is not None:
                setattr(row, name, names.of_hash(hashed))
    session.flush()
    if session.scalar(select(Erased.id).where(Erased.key_sha256.not_like(f"{names.prefix}%")).limit(1)) is not None:
        raise ConfigError(
            "the ledger names what was erased by another key than this house's",
            where=f"<var>/{KEY_FILE}",
            why="without the key it was made with, a harvest would bring back what was erased",
            remedy=f"bring {KEY_FILE} back from the last backup; it lies beside the lake",
        )
    return session.scalars(select(Erased).where(*conditions).order_by(Erased.table_name, Erased.key_sha256)).all()
