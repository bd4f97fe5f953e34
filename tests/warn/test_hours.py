"""When departments hear: quiet hours, the digest hour, and a person's approval of mass sending."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from pydantic import ValidationError

from chengxin import warn
from chengxin.clock import BEIJING
from chengxin.districts import District, Mail, QuietHours
from chengxin.settings import House
from chengxin.warn import approval, modes, planning, reporting, sending
from chengxin.warn.words import district_of

from .conftest import DAY, Catcher, Scene, body


@pytest.fixture
def production(office: House) -> House:
    """The office in production: hours hold there only."""
    return replace(office, mode="production")


def _at(house: House, hour: int, day: date = DAY) -> House:
    return house.at(lambda: datetime(day.year, day.month, day.day, hour, 30, tzinfo=BEIJING))


def _with(monkeypatch: pytest.MonkeyPatch, house: House, **mail: object) -> None:
    """The district's file with other mail settings."""
    district = district_of(house)
    changed = district.model_copy(update={"mail": Mail(**{**district.mail.model_dump(), **mail})})

    def there(_house: House) -> District:
        return changed

    for module in (planning, sending, reporting, approval):
        monkeypatch.setattr(module, "district_of", there)


@pytest.mark.parametrize(
    ("hours", "quiet"),
    [((20, 7), {20, 23, 0, 6}), ((0, 6), {0, 5}), ((12, 14), {12, 13})],
)
def test_quiet_hours_on_the_clock(hours: tuple[int, int], quiet: set[int]) -> None:
    rule = QuietHours(begin=hours[0], end=hours[1])
    held = {hour for hour in range(24) if rule.hold(datetime(2026, 6, 15, hour, tzinfo=BEIJING))}
    assert quiet <= held
    assert hours[1] not in held
    assert len(held) == (hours[1] - hours[0]) % 24


def test_hours_that_are_none_are_refused() -> None:
    with pytest.raises(ValidationError):
        QuietHours(begin=7, end=7)


def test_mail_waits_out_the_quiet_hours_and_the_next_run_sends_it(
    production: House, scene: Scene, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with(monkeypatch, production, quiet_hours={"begin": 20, "end": 7})
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    early = _at(production, 6)
    assert warn.plan(early, DAY) == ["zjj"]
    assert warn.send(early, DAY, "zjj")["planned"] == 1
    assert catcher.accepted == []
    # Operators hear at any hour, and see why it waits.
    warn.report(early, DAY)
    assert "邮件1封未发出，静默时段过后由下次运行发出" in body(catcher.mails()[-1])
    late = _at(production, 12)
    assert warn.plan(late, DAY) == ["zjj"]
    assert warn.send(late, DAY, "zjj")["sent"] == 1


def test_a_sandbox_has_no_quiet_hours(
    office: House, scene: Scene, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with(monkeypatch, office, quiet_hours={"begin": 20, "end": 7})
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    night = _at(office, 3)
    warn.plan(night, DAY)
    assert warn.send(night, DAY, "zjj")["sent"] == 1


def test_a_digest_is_one_mail_a_day(
    production: House, scene: Scene, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with(monkeypatch, production, digest_hour=12)
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    assert warn.plan(_at(production, 6), DAY) == []
    scene.advice(DAY, [{"matter_id": "M2"}])
    assert warn.plan(_at(production, 12), DAY) == ["zjj"]
    warn.send(_at(production, 12), DAY, "zjj")
    (mail,) = catcher.mails()
    assert "M1" in body(mail)
    assert "M2" in body(mail)
    scene.advice(DAY, [{"matter_id": "M3"}])
    assert warn.plan(_at(production, 17), DAY) == []
    tomorrow = DAY + timedelta(days=1)
    scene.ready(tomorrow)
    there = _at(production, 12, tomorrow)
    assert warn.plan(there, tomorrow) == ["zjj"]
    warn.send(there, tomorrow, "zjj")
    assert "M3" in body(catcher.mails()[-1])


class TestApproval:
    """More messages than the threshold wait for a person."""

    @pytest.fixture
    def planned(self, office: House, scene: Scene) -> House:
        scene.ready()
        scene.advice(DAY, [{"matter_id": f"M{n}", "department": unit} for n, unit in enumerate(["zjj", "czj", "gzw"])])
        assert len(warn.plan(office, DAY)) == 3
        return office

    @pytest.mark.parametrize(("most", "needed"), [(None, False), (3, False), (2, True)])
    def test_above_the_threshold(
        self, planned: House, catcher: Catcher, monkeypatch: pytest.MonkeyPatch, most: int | None, needed: bool
    ) -> None:
        _with(monkeypatch, planned, approval_threshold=most)
        assert warn.approval_needed(planned, DAY) is needed
        assert len(catcher.accepted) == needed
        if needed:
            (mail,) = catcher.mails()
            assert "3封邮件等待批准发送" in str(mail["Subject"])
            assert mail["To"].addresses[0].addr_spec == "chengxin-ops@licheng.example"
            # Asked again for the same mails: told once.
            assert warn.approval_needed(planned, DAY)
            assert len(catcher.accepted) == 1

    @pytest.mark.parametrize(
        ("others", "dag", "command"),
        [(False, "warn_departments", "chengxin"), (True, "warn_departments__370112", "chengxin --district 370112")],
    )
    def test_what_to_open_and_type_is_named_for_the_district(
        self, planned: House, catcher: Catcher, monkeypatch: pytest.MonkeyPatch, others: bool, dag: str, command: str
    ) -> None:
        _with(monkeypatch, planned, approval_threshold=2)
        assert warn.approval_needed(replace(planned, among_others=others), DAY)
        said = body(catcher.mails()[-1])
        assert f"打开{dag}的approve任务" in said
        assert f" {command} warn --dry-run" in said

    def test_nothing_to_approve_where_nothing_is_sent(
        self, planned: House, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _with(monkeypatch, planned, approval_threshold=1)
        rehearsal = replace(planned, mode="rehearsal")
        warn.plan(rehearsal, DAY)
        assert not warn.approval_needed(rehearsal, DAY)
        assert catcher.accepted == []
        assert modes.permit(rehearsal, DAY).mode == "rehearsal"
