"""Warnings: what departments see of us is a mail.

`plan` renders and commits a day's messages, `send` hands one department's to the mail server, `report` tells the
operators, `summary` counts, `dry_run` writes the mails as files. What may be sent when: `chengxin.warn.modes`.
"""

from chengxin.warn.plan import dry_run, plan
from chengxin.warn.report import report, summary
from chengxin.warn.send import DeferredError, send

__all__ = ["DeferredError", "dry_run", "plan", "report", "send", "summary"]
