"""Harvests that are killed at one instant or another: the rerun doubles nothing and loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chengxin import harvest, harvest_ledger, sums
from chengxin.connectors import feedback, files_feedback
from chengxin.connectors.places import Place, opened
from chengxin.ledger.models import Commit
from chengxin.settings import House
from tests.dropped import ENTRIES, MONDAY, SUNDAY, TUESDAY, Source, entry, matter, who


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    return Source(house, tmp_path)


class Killed(BaseException):
    """Stands for a kill: no handler of the library catches it."""


@pytest.mark.parametrize("instant", ["staged", "copied", "planned", "first commit", "committed", "summed"])
def test_killed_anywhere_the_rerun_doubles_nothing(
    source: Source, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    source.run(MONDAY, [matter(1, who(1)), matter(2, who(2))], "matters_in")
    source.deliver(TUESDAY, [matter(1, who(1), who(3)), matter(3, who(3)), matter(2, who(2))], "matters_in")
    with monkeypatch.context() as patch:
        _kill_at(patch, source.house, instant)
        with pytest.raises(Killed):
            harvest.run(source.house, "matters_in", TUESDAY)
    interrupted = source.last()
    assert interrupted.state == "fetched"
    outcome = harvest.run(source.house, "matters_in", TUESDAY)
    assert outcome["harvest_id"] == interrupted.id
    assert (outcome["published"], outcome["unchanged"], outcome["removed"]) == (2, 1, 0)
    assert len(source.house.lake.rows("matter")) == 3
    assert len(source.house.lake.rows("applicant")) == 4
    with source.house.ledger.begin() as session:
        assert session.query(Commit).count() == 2
        assert session.query(Commit).filter(Commit.closed_at.is_(None)).count() == 0
    rows = {row["natural_key"]: row for row in source.house.lake.rows("harvest_sum")}
    assert len(source.house.lake.rows("harvest_sum")) == len(rows) == 2
    assert (rows[str(TUESDAY)]["published"], rows[str(TUESDAY)]["unchanged"]) == (2, 1)
    assert sums.faults(source.house) == []


@pytest.mark.parametrize("instant", ["planned", "first commit"])
def test_a_killed_run_that_found_nothing_new_is_told_once(
    source: Source, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    source.run(MONDAY, [entry(0), entry(1)])
    source.deliver(TUESDAY, [entry(0), entry(1)])
    with monkeypatch.context() as patch:
        _kill_at(patch, source.house, instant)
        with pytest.raises(Killed):
            harvest.run(source.house, "entries", TUESDAY)
    assert sums.faults(source.house) == [], "what is under way is no fault"
    outcome = harvest.run(source.house, "entries", TUESDAY)
    assert (outcome["published"], outcome["unchanged"], outcome["seq"]) == (0, 2, None)
    assert len(source.house.lake.rows("harvest_sum")) == 2
    assert sums.faults(source.house) == []


def test_a_killed_day_is_ended_before_the_next_is_compared(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.run(SUNDAY, [entry(0), entry(1), entry(2)])
    source.deliver(MONDAY, [entry(0, why="周一"), entry(1), entry(2)])
    with monkeypatch.context() as patch:
        _kill_at(patch, source.house, "planned")
        with pytest.raises(Killed):
            harvest.run(source.house, "entries", MONDAY)
    killed = source.last().id
    outcome = source.run(TUESDAY, [entry(0), entry(1), entry(2)])
    assert source.row(killed).state == "published"
    assert (outcome["published"], outcome["unchanged"]) == (1, 2)
    assert source.reasons(MONDAY)["第0号"] == "周一"
    assert source.reasons(TUESDAY)["第0号"] == "未报年报"


@pytest.mark.parametrize("untold", ["before it is told", "before that is noted"])
def test_killed_after_its_commit_the_publisher_is_told_once(
    source: Source, monkeypatch: pytest.MonkeyPatch, untold: str
) -> None:
    source.contract("entries", ENTRIES.replace("format: json", "format: json, feedback: true"))
    source.deliver(MONDAY, [entry(0), entry(1, code="123")])
    with monkeypatch.context() as patch:
        if untold == "before it is told":
            _dies(patch, feedback, "tell")
        else:

            @contextmanager
            def and_dies(*arguments: Any) -> Iterator[Place]:
                with opened(*arguments) as place:
                    yield place
                raise Killed

            patch.setattr(files_feedback, "opened", and_dies)
        with pytest.raises(Killed):
            harvest.run(source.house, "entries", MONDAY)
    killed = source.last()
    assert (killed.state, killed.detail.get("feedback")) == ("published", None)
    seq = harvest.publish(source.house, killed.id)["seq"]
    told = source.drop / f"entries_{MONDAY:%Y%m%d}.json.feedback.csv"
    assert len(told.read_text("utf-8-sig").splitlines()) == 2
    assert source.last().detail["feedback"] == 1
    # Done again, nothing is told or published once more.
    told.unlink()
    assert harvest.publish(source.house, killed.id)["seq"] == seq
    assert not told.exists()
    assert len(source.house.lake.rows("list_entry")) == 1


def test_a_killed_day_that_the_next_one_ends_is_told_too(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.contract("entries", ENTRIES.replace("format: json", "format: json, feedback: true"))
    source.deliver(MONDAY, [entry(0), entry(1, code="123")])
    with monkeypatch.context() as patch:
        _dies(patch, harvest, "_commit")
        with pytest.raises(Killed):
            harvest.run(source.house, "entries", MONDAY)
    killed = source.last().id
    source.run(TUESDAY, [entry(0)])
    assert source.row(killed).detail["feedback"] == 1
    assert (source.drop / f"entries_{MONDAY:%Y%m%d}.json.feedback.csv").exists()


def _dies(patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    patch.setattr(owner, name, die)


def _kill_at(patch: pytest.MonkeyPatch, house: House, instant: str) -> None:
    from chengxin.lake import Lake
    from chengxin.publish import Publication

    def after(owner: Any, name: str, calls: int = 1) -> None:
        original: Callable[..., Any] = getattr(owner, name)
        seen = 0

        def then_die(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            result = original(*args, **kwargs)
            seen += 1
            if seen == calls:
                raise Killed
            return result

        patch.setattr(owner, name, then_die)

    match instant:
        case "staged":
            after(Publication, "compare")
        case "copied":
            after(Publication, "write")
        case "planned":
            after(harvest_ledger, "note")
        case "first commit":
            after(Lake, "commit")
        case "committed":
            after(Lake, "commit", 2)
        case "summed":
            after(Lake, "commit", 3)
