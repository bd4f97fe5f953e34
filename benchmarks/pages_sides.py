"""The parts of `pages.py` that run in processes of their own: `python pages_sides.py <part> <arguments as JSON>`."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

PATH = "/api/v1/sczt/jbxx"
SECRET = "0" * 64
CHANGED = 100
"""Records that differ from one harvest to the next."""
REPEATS = 200
"""How often each query is asked alone."""


def make(var: str, subjects: int, days: int, last: str, sample: int) -> dict[str, Any]:
    """Writes lake and ledger."""
    import pages_lake
    import pages_ledger

    started = time.perf_counter()
    place = pages_lake.house(Path(var), date.fromisoformat(last))
    rows = pages_lake.write(place, subjects, days, date.fromisoformat(last))
    rows |= pages_ledger.write(place, subjects, days, date.fromisoformat(last))
    return {"seconds": time.perf_counter() - started, "rows": rows}


def fill(var: str, subjects: int, days: int, last: str, sample: int) -> dict[str, Any]:
    """Fills the desk from the lake, and refreshes it when there is nothing new."""
    import pages_lake

    from chengxin.desk.refresh import refresh

    place = pages_lake.house(Path(var), date.fromisoformat(last))
    started = time.perf_counter()
    done = refresh(place)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    assert refresh(place)["rows"] == {}
    idle = time.perf_counter() - started
    size = sum(file.stat().st_size for file in Path(var).glob("desk.db")) / 1e6
    return {"seconds": seconds, "rows": sum(done["rows"].values()), "peak": peak, "idle": idle, "size": size}


def queries(var: str, subjects: int, days: int, last: str, sample: int) -> dict[str, Any]:
    """Each page's query by itself, one reader; and what pages there are to ask for."""
    import pages_lake
    from sqlalchemy import func, select

    from chengxin import districts
    from chengxin.desk import read, tables

    day = date.fromisoformat(last)
    place = pages_lake.house(Path(var), day)
    district = districts.load(pages_lake.ROOT / "include" / "districts" / f"{pages_lake.DISTRICT}.yml")
    everything = read.Scope.everything()
    with place.desk.read() as connection:

        def some(table: Any, column: Any, *wanted: Any) -> list[Any]:
            count = connection.execute(select(func.count()).select_from(table).where(*wanted)).scalar_one()
            step = max(count // sample, 1)
            rows = connection.scalars(select(column).where(*wanted).order_by(column)).all()
            return list(rows[::step][:sample])

        drawn = some(tables.advice, tables.advice.c.advice_id, tables.advice.c.latest)
        listed = select(tables.advice.c.subject_id).where(tables.advice.c.latest).distinct()
        # Half of the subjects that are looked at are applicants: they have more to show.
        refs = some(tables.subject, tables.subject.c.ref)[::2]
        refs += some(tables.subject, tables.subject.c.ref, tables.subject.c.subject_id.in_(listed))[::2]
        samples = {
            "subjects": refs,
            "matters": some(tables.matter, tables.matter.c.ref),
            "advice": drawn,
            "streets": list(dict.fromkeys(route.to for route in district.areas)),
        }
    chance = random.Random(1)
    asked: dict[str, Callable[[Any], object]] = {
        "today": lambda c: read.today(c, everything, day, district),
        "filings": lambda c: read.filings(c, everything, day.year - 1, "DUE", street=chance.choice(samples["streets"])),
        "matters": lambda c: read.matters(c, everything, read.Filter(decision="RESTRICT"), read.Paging(50, 500)),
        "matter": lambda c: read.matter(c, everything, chance.choice(samples["matters"]), day),
        "advice": lambda c: read.advice(c, everything, chance.choice(samples["advice"]), day),
        "subject": lambda c: read.subject(c, everything, chance.choice(samples["subjects"]), day),
        "rejected": lambda c: read.rejected(c, day),
    }
    times: dict[str, list[float]] = {}
    for name, ask in asked.items():
        for turn in range(REPEATS + 5):
            started = time.perf_counter()
            with place.desk.read() as connection:
                ask(connection)
            if turn >= 5:
                times.setdefault(name, []).append((time.perf_counter() - started) * 1000)
    return {"pages": {name: told(found) for name, found in times.items()}, "samples": samples}


def harvest(
    var: str, folder: str, subjects: int, days: int, last: str, sample: int, elsewhere: list[int]
) -> Iterator[dict[str, Any]]:
    """Harvests the registry once, then waits for a line, then goes on until its input ends."""
    import pages_lake

    from chengxin import harvest as stage
    from chengxin.connections import Connection
    from chengxin.dagtools.house import PATIENCE
    from chengxin.desk.refresh import refresh
    from chengxin.sandbox.child import Child
    from chengxin.sandbox.portal import APP_ID

    # As every task has it: `chengxin.dagtools.house`.
    os.setpriority(os.PRIO_PROCESS, 0, PATIENCE)
    with ExitStack() as stack:
        ports = []
        for turn in range(2):
            root = Path(folder) / str(turn)
            _render(Path(var), root, date.fromisoformat(last), turn)
            child = Child(
                "chengxin.sandbox.portal", [str(root), last], root / "portal.log", {"SANDBOX_PORTAL_SECRET": SECRET}
            )
            os.sched_setaffinity(child.process.pid, set(elsewhere))
            stack.callback(child.end)
            ports.append(int(child.address()["port"]))
        done: list[dict[str, float]] = []
        over = threading.Event()
        for turn in range(10_000):
            day = date.fromisoformat(last) + timedelta(days=1 + turn)
            portal = Connection(
                "sharing_portal", "http", host="127.0.0.1", port=ports[turn % 2], login=APP_ID, password=SECRET,
                schema="http",
            )  # fmt: skip
            place = pages_lake.house(Path(var), day, lambda _, portal=portal: portal)
            started = time.perf_counter()
            counts = stage.run(place, "subject_registry", day)
            refresh(place)
            done.append({"seconds": time.perf_counter() - started, "published": counts["published"]})
            if turn == 0:
                print(json.dumps(done[0]), flush=True)
                sys.stdin.readline()
                done.clear()
                threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
            elif over.is_set():
                break
    # The one at hand was not beside the readers to its end, but for its greater part.
    yield {"harvests": done}


def _render(var: Path, root: Path, day: date, turn: int) -> None:
    """What the registry sends: everybody as the desk has them, `CHANGED` of them under another name by turns."""
    import pyarrow as pa
    from sqlalchemy import create_engine, text

    from chengxin.sandbox import pages

    query = """
        SELECT uscc AS "UNISCID", CASE WHEN :turn = 1 AND
                subject_id % (SELECT max(1, count(*) / :changed) FROM desk_subject) = 0
                THEN name || '改' ELSE name END AS "ENTNAME",
            CASE kind WHEN '企业' THEN '1' WHEN '个体工商户' THEN '2' ELSE '3' END AS "ENTCAT",
            established AS "ESTDATE", CASE state WHEN '存续' THEN '1' WHEN '吊销' THEN '2' ELSE '3' END AS "REGSTATE",
            NULL AS "REVDATE", deregistered_on AS "CANDATE", area_code AS "DOMDISTRICT", industry AS "INDUSTRYPHY",
            '示例路1号' AS "DOM", capital / 10000 AS "REGCAPRMB", NULL AS "PRIPID", capital AS "REGCAP",
            '156' AS "REGCAPCUR", '2026-06-15 01:00:00' AS "S_EXT_TIMESTAMP"
        FROM desk_subject WHERE registered
    """
    with create_engine(f"sqlite:///{var / 'desk.db'}").connect() as connection:
        found = connection.execute(text(query), {"turn": turn, "changed": CHANGED})
        names = list(found.keys())
        columns = list(zip(*found.all(), strict=True))
    made = pa.table({name: pa.array(column) for name, column in zip(names, columns, strict=True)})
    made = made.set_column(5, "REVDATE", pa.nulls(len(made), pa.string()))
    made = made.set_column(11, "PRIPID", pa.array([str(n) for n in range(len(made))]))
    pages.write(root / day.isoformat(), {PATH: made})


def read(asked: str) -> dict[str, Any]:
    """Twenty people at once, each going from page to page."""
    import requests

    order = json.loads(Path(asked).read_text("utf-8"))
    pages, results, errors = order["pages"], [], {}
    lock = threading.Lock()
    ready = threading.Barrier(order["readers"] + 1)
    each = len(order["logins"]) // order["readers"]

    def reader(number: int) -> None:
        sessions = [
            _login(requests.Session(), order["url"], login, order["password"])
            for login in order["logins"][number * each : (number + 1) * each]
        ]
        chance, names = random.Random(number), list(pages)
        own: list[tuple[str, float]] = []
        ready.wait()
        start = time.perf_counter()
        turn = number
        while time.perf_counter() - start < WARM + order["seconds"]:
            if not turn % len(names):
                chance.shuffle(names)
            name = names[turn % len(names)]
            path = chance.choice(pages[name])
            began = time.perf_counter()
            answer = sessions[turn % each].get(f"{order['url']}/credit{path}", timeout=60, allow_redirects=False)
            took = (time.perf_counter() - began) * 1000
            turn += 1
            if answer.status_code != 200:
                with lock:
                    key = f"{answer.status_code} {name}"
                    errors[key] = errors.get(key, 0) + 1
            elif began - start > WARM:
                own.append((name, took))
        with lock:
            results.extend(own)

    threads = [threading.Thread(target=reader, args=(number,)) for number in range(order["readers"])]
    for thread in threads:
        thread.start()
    ready.wait()
    for thread in threads:
        thread.join()
    times: dict[str, list[float]] = {name: [] for name in pages}
    for name, took in results:
        times[name].append(took)
    return {
        "pages": {
            **{name: told(found) for name, found in times.items() if found},
            "overall": told([took for _, took in results]),
        },
        "asked": len(results),
        "errors": errors,
    }


WARM = 5.0
"""Seconds at the beginning that do not count: imports and templates of the server."""


def _login(session: Any, url: str, login: str, password: str) -> Any:
    session.trust_env = False
    token = session.post(f"{url}/auth/token", json={"username": login, "password": password}, timeout=60).json()
    session.cookies.set("_token", token["access_token"])
    form = session.get(f"{url}/credit/purpose", timeout=60).text
    (secret,) = re.findall(r'name="form_token" value="([0-9a-f]+)"', form)
    stated = session.post(
        f"{url}/credit/purpose",
        data={"form_token": secret, "words": "年度审计", "back": "/today"},
        timeout=60,
        allow_redirects=False,
    )
    assert stated.status_code == 303, stated.status_code
    return session


def told(times: list[float]) -> dict[str, float]:
    """Percentiles."""
    ordered = sorted(times)

    def percentile(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)

    return {
        "asked": len(ordered), "p50": percentile(0.5), "p95": percentile(0.95), "longest": round(ordered[-1], 1),
    }  # fmt: skip


def _main() -> None:
    part, arguments = sys.argv[1], json.loads(sys.argv[2])
    if part == "harvest":
        for found in harvest(**arguments):
            print(json.dumps(found["harvests"]), flush=True)
    else:
        print(json.dumps(globals()[part](**arguments)), flush=True)


if __name__ == "__main__":
    _main()
