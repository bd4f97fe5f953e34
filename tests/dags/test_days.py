"""The day a run speaks for."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from chengxin.dagtools import as_of
from chengxin.errors import ConfigError


def context(
    *,
    conf: dict[str, Any] | None = None,
    logical_date: datetime | None = None,
    events: list[dict[str, Any] | None] = [],  # noqa: B006
    param: str | None = None,
) -> dict[str, Any]:
    run = SimpleNamespace(conf=conf, logical_date=logical_date, run_after=datetime(2026, 6, 14, 16, 30, tzinfo=UTC))
    group = [SimpleNamespace(extra=extra) for extra in events]
    return {
        "dag_run": run,
        "triggering_asset_events": {"lake://advice": group} if group else {},
        "params": {"as_of": param},
    }


def test_given_when_the_run_was_started() -> None:
    events: list[Any] = [{"as_of": "2026-06-12"}]
    assert as_of(context(conf={"as_of": "2026-06-15"}, events=events, param="2026-06-11")) == date(2026, 6, 15)


def test_from_the_triggering_events() -> None:
    events: list[Any] = [{"as_of": "2026-06-12"}, {"as_of": "2026-06-12"}]
    assert as_of(context(events=events, param="2026-06-11")) == date(2026, 6, 12)


def test_from_the_parameter() -> None:
    assert as_of(context(param="2026-06-11")) == date(2026, 6, 11)


def test_date_of_the_run_is_the_date_in_beijing() -> None:
    # 22:30 in London on the 14th is half past five on the 15th in Beijing.
    assert as_of(context(logical_date=datetime(2026, 6, 14, 21, 30, tzinfo=UTC))) == date(2026, 6, 15)
    assert as_of(context(logical_date=datetime(2026, 6, 14, 15, 59, tzinfo=UTC))) == date(2026, 6, 14)


def test_a_run_without_logical_date_speaks_for_the_day_it_was_asked_for() -> None:
    assert as_of(context()) == date(2026, 6, 15)


@pytest.mark.parametrize(
    "events",
    [
        [{"as_of": "2026-06-12"}, {"as_of": "2026-06-13"}],
        [{"as_of": "2026-06-12"}, {}],
        [None],
    ],
)
def test_events_that_do_not_agree_are_refused(events: list[Any]) -> None:
    with pytest.raises(ConfigError, match="do not speak for one day"):
        as_of(context(events=events))


@pytest.mark.parametrize("text", ["15.6.2026", "2026-02-30", "tomorrow"])
def test_no_date_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no date"):
        as_of(context(conf={"as_of": text}))
