"""The policy: dated, cited rules as data, compiled to set-based expressions.

`load` reads a document's folder; `compile.advise` judges matters, `annual.statuses` annual reports, `sharing.decide`
what may be passed on. Importing this package pulls in no engine.
"""

from __future__ import annotations

from chengxin.policy.loader import load
from chengxin.policy.model import Policy

__all__ = ["Policy", "load"]
