"""Several lines to the mail server at once, and a rate that holds for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from chengxin import warn
from chengxin.districts import District
from chengxin.ledger import outbox
from chengxin.ledger.outbox import Draft
from chengxin.settings import House
from chengxin.warn.pace import Pace
from chengxin.warn.words import district_of

from .conftest import DAY, Catcher, serving

UNITS = ("czj", "fgj", "gzw", "jrj", "kjj", "nyj", "scjg", "zjj")


@dataclass
class Counting(Catcher):
    """A server that counts its lines, and hangs up on those above `most`."""

    most: int = 99
    seen: list[Session] = field(default_factory=list)

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        with self.lock:
            self.seen.append(session)
            if len(self.seen) > self.most:
                server.transport.abort()
        session.host_name = hostname
        return responses


@pytest.fixture
def eight(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., House]:
    """Makes a house in which eight departments have a message waiting, under some settings of its district's mail."""

    def make(catcher: Catcher, **mail: Any) -> House:
        office = replace(house, mode="sandbox", connections=catcher.connection)
        with office.ledger.begin() as session:
            outbox.put(session, office.clock(), [_draft(unit) for unit in UNITS])
        monkeypatch.setattr("chengxin.warn.sending.district_of", lambda there: _with(district_of(there), **mail))
        return office

    return make


def _draft(unit: str) -> Draft:
    name = f"<{unit}@licheng.example>"
    content = f"Message-ID: {name}\r\nSubject: {unit}\r\n\r\n{unit}\r\n".encode()
    return Draft(
        key=unit, mode="sandbox", district="370112", department=unit, recipient=f"{unit}@licheng.example", role="unit",
        kind="advice", matter="advice", stage="", fingerprint="", as_of=DAY, subject=unit, header_id=name, thread="",
        content=content,
    )  # fmt: skip


def _with(district: District, **mail: Any) -> District:
    return district.model_copy(update={"mail": district.mail.model_copy(update=mail)})


@pytest.mark.parametrize("lines", [1, 3])
def test_as_many_lines_as_the_district_allows(eight: Callable[..., House], lines: int) -> None:
    with serving(Counting()) as catcher:
        office = eight(catcher, connections=lines)
        assert warn.send(office, DAY, None) == {"sent": 8, "refused": 0, "unknown": 0, "planned": 0}
        assert len(catcher.seen) <= lines
    assert len({mail["Message-ID"] for mail in catcher.mails()}) == 8


def test_one_line_takes_all_where_the_server_allows_no_more(eight: Callable[..., House]) -> None:
    with serving(Counting(most=1)) as catcher:
        assert warn.send(eight(catcher, connections=4), DAY, None)["sent"] == 8
    assert len(catcher.seen) > 1


def test_an_error_on_one_line_stops_the_others_and_loses_nothing(
    eight: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    from chengxin.warn.smtp import Line

    send, calls = Line.send, iter(range(99))

    def third_fails(self: Line, *arguments: Any) -> Any:
        if next(calls) == 2:
            raise MemoryError
        return send(self, *arguments)

    with serving(Counting()) as catcher:
        office = eight(catcher, connections=2)
        monkeypatch.setattr(Line, "send", third_fails)
        with pytest.raises(MemoryError):
            warn.send(office, DAY, None)
        first = len(catcher.accepted)
        monkeypatch.setattr(Line, "send", send)
        assert warn.send(office, DAY, None)["sent"] == 7 - first
        assert warn.summary(office, DAY) == {"planned": 8, "sent": 7, "refused": 0, "unknown": 1}


def test_a_rate_holds_for_all_lines(eight: Callable[..., House]) -> None:
    with serving(Counting()) as catcher:
        office = eight(catcher, connections=4, per_minute=1200)
        started = time.monotonic()
        assert warn.send(office, DAY, None)["sent"] == 8
        assert time.monotonic() - started >= 7 * 60 / 1200


class TestPace:
    """One message per interval."""

    def test_across_senders(self, tmp_path: Path) -> None:
        at: list[float] = []

        def work() -> None:
            pace = Pace(tmp_path / "run" / "pace", 1200)
            for _ in range(3):
                pace.wait()
                at.append(time.monotonic())

        senders = [threading.Thread(target=work) for _ in range(3)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert len(at) == 9
        assert max(at) - min(at) >= 8 * 0.05 * 0.98

    @pytest.mark.parametrize("left", ["", "nonsense", "1e300"])
    def test_a_file_that_says_nothing_and_a_clock_set_back(self, tmp_path: Path, left: str) -> None:
        (tmp_path / "pace").write_text(left)
        started = time.monotonic()
        Pace(tmp_path / "pace", 1200).wait()
        assert time.monotonic() - started < 1

    def test_no_limit(self, tmp_path: Path) -> None:
        pace = Pace(tmp_path / "pace", None)
        pace.wait()
        assert not pace.limited
        assert not (tmp_path / "pace").exists()
