"""The ledger: what was done. Acts, commits, messages, in a relational database (SQLite or PostgreSQL)."""

from chengxin.ledger.database import Ledger

__all__ = ["Ledger"]
