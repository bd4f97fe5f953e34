"""Working days and the countdown to 30 June."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from chengxin import calendar
from chengxin.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def day(text: str) -> date:
    return date.fromisoformat(text)


def sent(year: int) -> dict[str, str]:
    return {stage.send_on.strftime("%m-%d"): stage.name for stage in calendar.schedule(year)}


@pytest.mark.parametrize(
    ("text", "working"),
    [
        ("2025-01-26", True),  # a Sunday made up for the Spring Festival
        ("2025-01-27", True),
        ("2025-01-28", False),  # 除夕, a statutory day from 2025 on
        ("2025-05-02", False),
        ("2025-05-31", False),  # a Saturday, 端午
        ("2026-01-04", True),
        ("2026-02-28", True),
        ("2026-06-19", False),
        ("2026-06-22", True),
        ("2024-02-29", True),
    ],
)
def test_working_days_of_announced_years(text: str, working: bool) -> None:
    assert calendar.is_working_day(day(text)) is working
    assert calendar.basis(day(text)) == "official"


@pytest.mark.parametrize("year", [2027, 2028, 2029, 2030])
def test_years_not_announced_are_provisional(year: int) -> None:
    assert calendar.basis(date(year, 6, 30)) == "provisional"
    assert not calendar.is_working_day(date(year, 10, 1))
    assert not calendar.is_working_day(date(year, 5, 1))
    assert 245 <= len(calendar.working_days(date(year, 1, 1), date(year, 12, 31))) <= 255


def test_a_year_that_nobody_knows_has_weekends_only_and_says_so() -> None:
    assert calendar.basis(date(2150, 10, 1)) == "weekends"
    assert calendar.is_working_day(date(2150, 10, 1)) is (date(2150, 10, 1).weekday() < 5)
    assert calendar.window(2149).basis == "weekends"


def test_the_operators_table_stands_before_all() -> None:
    table = {day("2026-06-30"): False, day("2026-06-27"): True}
    assert not calendar.is_working_day(day("2026-06-30"), table)
    assert calendar.is_working_day(day("2026-06-27"), table)
    assert calendar.basis(day("2026-06-27"), table) == "operator"
    assert calendar.previous_working_day(day("2026-06-30"), table) == day("2026-06-29")
    assert calendar.previous_working_day(day("2026-06-28"), table) == day("2026-06-27")


def test_the_operators_file(tmp_path: Path) -> None:
    file = tmp_path / "calendar.yml"
    assert calendar.load_table(file) == {}
    file.write_text("days:\n  2027-02-07: {working: true, reference: a made-up notice}\n", "utf-8")
    assert calendar.load_table(file) == {day("2027-02-07"): True}
    file.write_text("days:\n  2027-02-07: {working: true}\n", "utf-8")
    with pytest.raises(ConfigError, match="reference"):
        calendar.load_table(file)


def test_the_committed_file_is_valid() -> None:
    calendar.load_table(ROOT / "include" / "calendar.yml")


@pytest.mark.parametrize(("year", "by"), [(2024, "2024-07-12"), (2025, "2025-07-14"), (2026, "2026-07-14")])
def test_the_tenth_working_day_after_the_window(year: int, by: str) -> None:
    assert calendar.nth_working_day_after(date(year, 6, 30), 10) == day(by)
    window = calendar.window(year - 1)
    assert (window.opens, window.closes, window.listing_by) == (date(year, 1, 1), date(year, 6, 30), day(by))
    assert window.basis == "official"


@pytest.mark.parametrize("year", range(2027, 2031))
def test_the_tenth_working_day_of_coming_years_is_ten_weekdays_on_and_provisional(year: int) -> None:
    # No statutory day falls into July.
    weekdays = [d for d in (date(year, 7, 1) + timedelta(days=n) for n in range(30)) if d.weekday() < 5]
    window = calendar.window(year - 1)
    assert window.listing_by == weekdays[9]
    assert window.basis == "provisional"


def test_windows_of_several_years() -> None:
    assert [w.report_year for w in calendar.windows([2024, 2025])] == [2024, 2025]
    assert calendar.reported_year(day("2026-06-30")) == calendar.reported_year(day("2026-12-31")) == 2025


def test_the_nth_working_day_is_after() -> None:
    assert calendar.nth_working_day_after(day("2026-06-26"), 1) == day("2026-06-29")
    with pytest.raises(ValueError, match="not after"):
        calendar.nth_working_day_after(day("2026-06-26"), 0)


def test_the_deadline_is_the_end_of_30_june_in_beijing() -> None:
    instant = calendar.deadline(2026)
    assert instant.isoformat() == "2026-07-01T00:00:00+08:00"
    assert instant == datetime(2026, 6, 30, 16, tzinfo=ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("text", "left"), [("2026-06-30", 0), ("2026-06-29", 1), ("2026-07-01", -1), ("2026-01-01", 180)]
)
def test_days_left(text: str, left: int) -> None:
    assert calendar.days_left(day(text), 2026) == left


class TestCountdown:
    """The days named in the domain reference, and the rules behind them."""

    def test_2025(self) -> None:
        assert sent(2025) == {
            "04-01": "T-90",
            "04-30": "T-60",
            "05-30": "T-30",
            "06-13": "T-15",
            "06-23": "T-7",
            "06-27": "T-1",  # with T-3: one mail, the tighter label
            "06-30": "T-0",
            "07-01": "T+1",
            "07-07": "T+7",
            "07-30": "T+30",
        }

    def test_2026(self) -> None:
        assert sent(2026) == {
            "04-01": "T-90",
            "04-30": "T-60",
            "05-29": "T-30",
            "06-15": "T-15",
            "06-23": "T-7",
            "06-26": "T-3",
            "06-29": "T-1",
            "06-30": "T-0",
            "07-01": "T+1",
            "07-07": "T+7",
            "07-30": "T+30",
        }

    def test_a_sunday_as_last_day(self) -> None:
        stages = sent(2024)
        assert stages["06-28"] == "T-0"
        assert stages["06-27"] == "T-3"
        assert "T-1" not in stages.values()
        assert stages["07-05"] == "T+7"  # 07-07 is a Sunday

    @pytest.mark.parametrize(
        ("year", "last", "overdue"), [(2028, "06-30", "07-03"), (2029, "06-29", "07-02"), (2030, "06-28", "07-01")]
    )
    def test_nobody_is_called_overdue_before_the_deadline(self, year: int, last: str, overdue: str) -> None:
        stages = sent(year)
        assert stages[last] == "T-0"
        assert stages[overdue] == "T+1"

    @pytest.mark.parametrize("year", range(2024, 2031))
    def test_rules_of_every_year(self, year: int) -> None:
        stages = calendar.schedule(year)
        days = [stage.send_on for stage in stages]
        assert days == sorted(set(days))
        assert all(calendar.is_working_day(d) for d in days)
        assert all(stage.send_on <= stage.nominal for stage in stages if stage.offset <= 0)
        assert all(stage.send_on > date(year, 6, 30) for stage in stages if stage.offset > 0)
        assert [stage.offset for stage in stages] == sorted(stage.offset for stage in stages)
        assert {0, 1} <= {stage.offset for stage in stages}
        assert stages[1].send_on <= date(year, 4, 30)

    def test_the_stage_of_a_day(self) -> None:
        stage = calendar.stage_of(day("2026-06-15"), 2026)
        assert stage is not None
        assert (stage.name, stage.nominal, stage.basis) == ("T-15", day("2026-06-15"), "official")
        assert calendar.stage_of(day("2026-06-16"), 2026) is None

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("2026-03-31", None),
            ("2026-04-01", "T-90"),
            ("2026-06-22", "T-15"),
            ("2026-06-28", "T-3"),
            ("2026-07-02", "T+1"),
            ("2026-12-31", "T+30"),
        ],
    )
    def test_after_missed_days_the_latest_stage_is_due(self, text: str, name: str | None) -> None:
        stage = calendar.latest_due_stage(day(text), 2026)
        assert (stage.name if stage else None) == name


def test_importing_it_loads_no_library_of_holidays() -> None:
    code = (
        "import sys, chengxin.calendar; print({'holidays', 'chinese_calendar', 'pandas', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
