"""`python -m chengxin.sandbox …` is `chengxin sandbox …`."""

from __future__ import annotations

import sys

from chengxin.cli import app

app(["sandbox", *sys.argv[1:]])
