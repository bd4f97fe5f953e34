"""The day by hand: harvests in two processes that share a list, then check, plan, send, report. See `day`."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date

PROCESSES = 2


def harvest_one(source: str, as_of: date) -> str:
    """One source, in a process that has done others before."""
    from chengxin import harvest
    from chengxin.settings import House

    harvest.run(House.from_environment(), source, as_of)
    return source


def main() -> None:
    """The whole day; seconds by stage as the last line."""
    from chengxin import check, districts, lake, warn
    from chengxin.desk import refresh
    from chengxin.settings import House
    from chengxin.summary import summarise

    as_of = date.fromisoformat(sys.argv[1])
    house = House.from_environment()
    with house.ledger.begin():
        lake.ensure(house.lake)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    sources = districts.load(house.include_dir / "districts" / f"{house.district}.yml").sources
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(harvest_one, sources, [as_of] * len(sources)))
    seconds["harvest"], started = time.monotonic() - started, time.monotonic()
    check.run(house, as_of)
    refresh.refresh(house)
    seconds["check"], started = time.monotonic() - started, time.monotonic()
    for department in warn.plan(house, as_of):
        warn.send(house, as_of, department)
    warn.report(house, as_of)
    seconds["warn"] = time.monotonic() - started
    summary = summarise(house, as_of, {})
    print(json.dumps({**seconds, "mails": summary.mails["sent"], "advice": sum(summary.advice.values())}))


if __name__ == "__main__":
    main()
