"""Judging begun while the fetch goes on: the same result as one after the other, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chengxin import harvest, judging
from chengxin.errors import ChallengeError, SourceContentError, SourceUnreachableError
from chengxin.ledger.models import Harvest, RawObject
from chengxin.settings import House

from .test_parts import known, people, write
from .tools import AS_OF, Killed, Reply, Request, Source, over


@pytest.fixture
def portal(house: House, source: Source, tmp_path: Path) -> House:
    """A house whose one source is fetched in pages of ten."""
    write(tmp_path, cut=False)
    source.records = people()
    return replace(over(house, source.connection), include=tmp_path / "include")


@pytest.fixture
def read_early(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The raw objects that were judged, as often as they were."""
    seen: list[str] = []
    chunks = judging.chunks

    def watched(house: House, contract: object, raw: object, *rest: object) -> object:
        def told() -> object:
            for one in raw:  # type: ignore[attr-defined]
                seen.append(one.sha256)
                yield one

        return chunks(house, contract, told(), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(judging, "chunks", watched)
    return seen


def raw_hashes(house: House, harvest_id: int) -> list[str]:
    with house.ledger.begin() as session:
        rows = session.query(RawObject).filter_by(harvest_id=harvest_id).order_by(RawObject.ordinal)
        return [row.sha256 for row in rows]


def last(house: House) -> Harvest:
    with house.ledger.begin() as session:
        return session.query(Harvest).order_by(Harvest.id.desc()).first()  # type: ignore[return-value]


def leftovers(house: House) -> list[Path]:
    return list(house.staging_dir.glob("*")) if house.staging_dir.exists() else []


def test_the_same_is_published_as_one_after_the_other(portal: House, tmp_path: Path, read_early: list[str]) -> None:
    apart = replace(portal, var=tmp_path / "apart")
    slowly = harvest.publish(apart, harvest.fetch(apart, "subjects_in", AS_OF))
    read_early.clear()
    outcome = harvest.run(portal, "subjects_in", AS_OF)
    assert outcome == slowly
    assert outcome["harvested"] == 42
    assert known(portal) == known(apart)
    assert read_early == raw_hashes(portal, outcome["harvest_id"])
    assert leftovers(portal) == []


def test_what_a_cut_off_fetch_kept_is_judged_with_the_rest(
    portal: House, source: Source, kill_after: Callable[[int], None], read_early: list[str]
) -> None:
    kill_after(3)
    with pytest.raises(Killed):
        harvest.run(portal, "subjects_in", AS_OF)
    assert leftovers(portal) == []
    read_early.clear()
    outcome = harvest.run(portal, "subjects_in", AS_OF)
    assert outcome["harvested"] == 42
    assert source.pages == [1, 5, 2, 3, 4, 3, 4, 1]
    assert read_early == raw_hashes(portal, outcome["harvest_id"])


def test_a_walk_that_starts_over_is_judged_anew(portal: House, source: Source) -> None:
    changed = [False]

    def grow(request: Request) -> Reply | None:
        # One record goes while the third page is turned: all pages move.
        if request.query["page"] == "3" and not changed[0]:
            changed[0] = True
            del source.records[0]
        return None

    source.answers = grow
    outcome = harvest.run(portal, "subjects_in", AS_OF)
    assert source.pages == [1, 5, 2, 3, 1, 5, 2, 3, 4, 1]
    assert outcome["harvested"] == 41
    assert len(known(portal)) >= 41


def test_a_fetch_that_fails_leaves_nothing_staged_and_is_gone_on_with(portal: House, source: Source) -> None:
    source.answers = lambda request: Reply(500) if request.query["page"] == "4" else None
    with pytest.raises(SourceUnreachableError):
        harvest.run(portal, "subjects_in", AS_OF)
    assert (last(portal).state, last(portal).cause) == ("failed", "unreachable")
    assert leftovers(portal) == []
    source.answers = lambda request: None
    assert harvest.run(portal, "subjects_in", AS_OF)["harvested"] == 42


def test_after_a_browser_challenge_a_fetch_goes_on_from_its_last_page(portal: House, source: Source) -> None:
    source.answers = lambda request: Reply(521) if request.query["page"] == "4" else None
    with pytest.raises(ChallengeError):
        harvest.run(portal, "subjects_in", AS_OF)
    failed = last(portal)
    assert (failed.state, failed.cause) == ("failed", "unreachable")
    assert source.pages == [1, 5, 2, 3, 4]
    source.answers = lambda request: None
    assert harvest.run(portal, "subjects_in", AS_OF)["harvest_id"] == failed.id
    assert source.pages == [1, 5, 2, 3, 4, 3, 4, 1]


def test_what_cannot_be_judged_is_fetched_to_its_end_first(
    portal: House, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise SourceContentError("no list", where="page 1")

    monkeypatch.setattr(judging, "chunks", broken)
    with pytest.raises(SourceContentError, match="no list"):
        harvest.run(portal, "subjects_in", AS_OF)
    failed = last(portal)
    assert (failed.state, failed.cause) == ("failed", "content")
    assert "fetched" in failed.detail, "the evidence is whole"
    assert source.pages == [1, 5, 2, 3, 4, 1]
    assert len(raw_hashes(portal, failed.id)) == 5
    assert leftovers(portal) == []


def test_what_was_judged_of_other_raw_objects_is_thrown_away(portal: House, read_early: list[str]) -> None:
    number = harvest.fetch(portal, "subjects_in", AS_OF)
    with portal.ledger.begin() as session:
        raw = list(session.query(RawObject).filter_by(harvest_id=number).order_by(RawObject.ordinal))
        session.expunge_all()
    with judging.Early(portal, harvest.load(portal, "subjects_in"), AS_OF) as early:
        assert early.result(raw) is None, "nothing was begun"
        early.begin(number)
        for one in raw[:-1]:
            early.kept(one)
        assert early.result(raw) is None
        assert leftovers(portal) == []
        assert harvest._publish(portal, harvest.load(portal, "subjects_in"), number, early)["harvested"] == 42
