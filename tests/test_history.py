"""Bounds suggested from the ledger's history."""

from __future__ import annotations

from datetime import date, timedelta

from chengxin import contracts, history
from chengxin.ledger.models import Harvest
from chengxin.settings import House
from tests.conftest import ROOT

SOURCE = "abnormal_list"
FIRST = date(2026, 5, 20)


def harvests(house: House, records: list[int], *, state: str = "published", first: date = FIRST) -> None:
    with house.ledger.begin() as session:
        for number, count in enumerate(records):
            session.add(
                Harvest(
                    source=SOURCE,
                    as_of=first + timedelta(days=number),
                    state=state,
                    contract_sha256="0" * 64,
                    started_at=house.clock(),
                    harvested=count,
                    rejected=count // 100,
                    detail={
                        "facts": {"list_entry": {"known": 1000, "removed": 10 + number}},
                        "filled": {"uscc": 0.99, "reason": 0.95 - number / 1000, "authority": 0.3},
                    },
                )
            )


def by_key(suggestion: history.Suggestion) -> dict[str, history.Advice]:
    return {advice.key: advice for advice in suggestion.advice}


def test_each_bound_comes_with_its_figures(house: House) -> None:
    harvests(house, [1000 + 10 * n for n in range(12)])
    found = by_key(history.suggest(house, SOURCE))
    assert (found["rows.min"].now, found["rows.min"].suggested) == (1, 790)
    assert "990 on 2026-05-20" in found["rows.min"].why
    assert (found["rows.max"].now, found["rows.max"].suggested) == (None, 1700)
    assert "1,110 on 2026-05-31" in found["rows.max"].why
    assert (found["shrink.max"].now, found["shrink.max"].suggested) == (0.2, 0.05)
    assert "2.10% of list_entry on 2026-05-31" in found["shrink.max"].why
    assert (found["fields.reason.filled"].now, found["fields.reason.filled"].suggested) == (None, 0.91)
    assert "fields.authority.filled" not in found, "a field that is mostly empty needs no bound"
    assert "now 1, suggested 790" in str(history.suggest(house, SOURCE))


def test_nothing_is_ever_widened(house: House) -> None:
    contract = contracts.load(ROOT / f"include/sources/{SOURCE}.yml")
    harvests(house, [1] * 12)
    for advice in history.suggest(house, SOURCE).advice:
        if advice.now is not None and advice.suggested is not None:
            if advice.key == "rows.min" or advice.key.startswith("fields."):
                assert advice.suggested > advice.now
            else:
                assert advice.suggested < advice.now
    assert contracts.load(ROOT / f"include/sources/{SOURCE}.yml") == contract


def test_stopped_batches_do_not_argue_for_wider_bounds(house: House) -> None:
    harvests(house, [1000] * 12)
    before = history.suggest(house, SOURCE).advice
    harvests(house, [1], state="stopped", first=FIRST + timedelta(days=12))
    after = history.suggest(house, SOURCE)
    assert after.advice == before
    assert "1 stopped by a bound or by drift (not counted)" in str(after)


def test_a_short_history_suggests_nothing(house: House) -> None:
    harvests(house, [1000] * 3)
    assert history.suggest(house, SOURCE).advice == ()
    assert "too few" in str(history.suggest(house, SOURCE))


def test_a_day_counts_once(house: House) -> None:
    harvests(house, [1000] * 9)
    harvests(house, [1000] * 9)
    assert history.suggest(house, SOURCE).harvests == 9
