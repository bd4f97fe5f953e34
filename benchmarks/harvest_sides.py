"""The contestants of `harvest.py`. Each imports what it needs and does a small run first, then hands back the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

PATH = "/api/v1/sczt/jbxx"
SOURCE = "subject_registry"
PAGE_SIZE = 2000
"""As the source's contract has it: the same for all."""

Work = Callable[[], tuple[int, dict[str, Any]]]


def ours(port: int, warm_port: int, secret: str, day: str, folder: str) -> Work:
    """The product: fetch, archive, parse, normalise, validate, publish into an empty lake; every record is new."""
    from chengxin import harvest, harvest_ledger
    from chengxin.clock import BEIJING
    from chengxin.connections import Connection
    from chengxin.ledger.models import Harvest
    from chengxin.sandbox.portal import APP_ID
    from chengxin.settings import House

    when = date.fromisoformat(day)

    def house(name: str, port: int) -> House:
        portal = Connection(
            "sharing_portal", "http", host="127.0.0.1", port=port, login=APP_ID, password=secret, schema="http"
        )
        var = Path(folder) / name
        shutil.rmtree(var, ignore_errors=True)
        return House(
            root=Path(__file__).resolve().parents[1],
            var=var,
            district="370112",
            clock=lambda: datetime(when.year, when.month, when.day, 8, tzinfo=BEIJING),
            connections=lambda _: portal,
        )

    harvest.run(house("warm", warm_port), SOURCE, when)
    measured = house("var", port)
    # The ledger's and the lake's own files are made at set-up, once in a house's life.
    _ = measured.ledger.engine, *map(measured.lake.table, ("subject", "rejected", "harvest_sum"))

    def run() -> tuple[int, dict[str, Any]]:
        counts = harvest.run(measured, SOURCE, when)
        with measured.ledger.begin() as session:
            seconds = dict(session.get_one(Harvest, counts["harvest_id"]).detail["seconds"])
        return counts["harvested"], {
            "seconds": seconds,
            "counts": {name: counts[name] for name in harvest_ledger.COUNTS},
        }

    return run


def bare(port: int, warm_port: int, secret: str, day: str, folder: str) -> Work:
    """A loop that asks for each page, parses its JSON and throws it away."""
    import requests

    from chengxin.connectors.http_auth import HmacSha256
    from chengxin.sandbox.portal import APP_ID

    session = requests.Session()
    session.trust_env = False
    session.auth = HmacSha256(APP_ID, secret)

    def walk(port: int) -> int:
        got, page = 0, 0
        while True:
            page += 1
            answer = session.get(
                f"http://127.0.0.1:{port}{PATH}", params={"page": str(page), "size": str(PAGE_SIZE)}, timeout=30
            ).json()
            got += len(answer["data"])
            if got >= answer["total"]:
                return got

    walk(warm_port)
    return lambda: (walk(port), {})


def dlt(port: int, warm_port: int, secret: str, day: str, folder: str) -> Work:
    """dlt's REST source into Parquet files on the local disk, with its own defaults but for the file format."""
    import logging

    import dlt as library
    from dlt.common.configuration import configspec
    from dlt.destinations import filesystem
    from dlt.sources.helpers.rest_client.auth import AuthConfigBase
    from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
    from dlt.sources.rest_api import rest_api_source

    from chengxin.connectors.http_auth import HmacSha256
    from chengxin.sandbox.portal import APP_ID

    logging.disable(logging.WARNING)
    signature = HmacSha256(APP_ID, secret)

    @configspec
    class Signed(AuthConfigBase):  # dlt takes no other kind of authentication
        def __call__(self, request: Any) -> Any:
            return signature(request)

    def load(name: str, port: int) -> int:
        place = Path(folder) / f"dlt-{name}"
        shutil.rmtree(place, ignore_errors=True)
        source = rest_api_source(
            {
                "client": {
                    "base_url": f"http://127.0.0.1:{port}",
                    "auth": Signed(),
                    "paginator": PageNumberPaginator(base_page=1, page_param="page", total_path=None),
                },
                "resources": [
                    {
                        "name": SOURCE,
                        "endpoint": {"path": PATH, "params": {"size": PAGE_SIZE}, "data_selector": "data"},
                        "write_disposition": "replace",
                    }
                ],
            }
        )
        pipeline = library.pipeline(
            pipeline_name=f"bench_{name}",
            pipelines_dir=str(place / "work"),
            destination=filesystem(bucket_url=(place / "out").as_uri()),
            dataset_name="bench",
            progress=None,
        )
        pipeline.run(source, loader_file_format="parquet")
        return int(pipeline.last_trace.last_normalize_info.row_counts[SOURCE])

    load("warm", warm_port)
    return lambda: (load("run", port), {})
