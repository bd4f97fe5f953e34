"""The errors that people read.

Every error says what happened, where, why, and what to do about it. `ChengxinError` renders these four as
short lines, so that a task log, a terminal and the operators' mail show the same text.
"""

from __future__ import annotations


class ChengxinError(Exception):
    """What went wrong, where, why, and the remedy.

    >>> print(ChengxinError("no such source", where="chengxin harvest", remedy="see `chengxin sources`"))
    no such source
      where: chengxin harvest
      to do: see `chengxin sources`
    """

    #: A short, stable word that groups failures of one cause (operators' notice, run pages).
    cause = "error"

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        self.what, self.where, self.why, self.remedy = what, where, why, remedy
        lines = [what]
        lines += [f"  {label}: {text}" for label, text in (("where", where), ("why", why), ("to do", remedy)) if text]
        super().__init__("\n".join(lines))


class ConfigError(ChengxinError):
    """A contract, policy or district file that cannot be used."""

    cause = "config"


class ConnectionNotFoundError(ChengxinError):
    """A connection id that nobody has defined."""

    cause = "connection"


class SourceUnreachableError(ChengxinError):
    """The source does not answer, or answers only with server errors."""

    cause = "unreachable"


class ChallengeError(SourceUnreachableError):
    """A browser challenge (HTTP 521) instead of data: not for programs, and not to be got round; it may be lifted."""


class SourceRefusedError(ChengxinError):
    """The source answers and says no: wrong signature, missing grant, unknown resource."""

    cause = "refused"


class SourceContentError(ChengxinError):
    """Bytes arrived that are not what the contract promises: a truncated page, a captcha, a wrong format."""

    cause = "content"


class MismatchError(SourceContentError):
    """What arrives is whole, but the contract describes it otherwise: nothing but another contract mends that."""


class HarvestError(ChengxinError):
    """A harvest asked for something that its state does not allow."""

    cause = "harvest"


class DriftError(ChengxinError):
    """The source's columns are no longer those of the contract."""

    cause = "drift"


class BoundError(ChengxinError):
    """A batch outside its contract's bounds: nothing is published."""

    cause = "bound"


class SumError(ChengxinError):
    """Harvested is not published + unchanged + rejected + ignored: a defect of ours, never of the source."""

    cause = "sum"


class ArchiveError(ChengxinError):
    """A raw file that the archive does not hold (any more), or not as it was put there."""

    cause = "archive"
