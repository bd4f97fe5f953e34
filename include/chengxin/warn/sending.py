"""Sends what waits: claim, commit, hand over, record. At most once each, and never silently lost.

Each line to the mail server takes one message after the other: a message is claimed when its turn has come, never a
heap of them, so that a sender that dies leaves as many messages in doubt as it had lines. What became of a message and
the claim of the next one are one transaction.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy.orm import Session

from chengxin.connections import Connection
from chengxin.districts import District
from chengxin.ledger import outbox
from chengxin.ledger.outbox import Claimed, Scope
from chengxin.settings import House
from chengxin.warn import holder, modes
from chengxin.warn.modes import Permit
from chengxin.warn.pace import Pace
from chengxin.warn.smtp import Answer, DeferredError, Line, MailServerError
from chengxin.warn.words import district_of

_COUNTED = ("sent", "refused", "unknown", "planned")


def send(house: House, as_of: date, department: str | None) -> dict[str, int]:
    """Sends the messages of one department that wait, up to those of a day.

    Nothing is sent in rehearsal, nor in production for a day before yesterday; in the district's quiet hours only to
    operators. Messages whose sender died are marked `unknown` first.

    Args:
        house: the house.
        as_of: the Beijing date; messages of later days stay.
        department: its code; None: everything that waits in the district, the operators' mails too.

    Returns:
        How many were `sent`, `refused`, left `unknown` by this call (those of dead senders included), and how many
        are still `planned`.

    Raises:
        ConfigError: a sandbox whose mail server is not this machine.
        DeferredError: some were not accepted for now; they stay planned.
    """
    district, may = district_of(house), modes.permit(house, as_of)
    scope = Scope(district.code, may.mode, as_of, may.since, department)
    return deliver(house, district, may, scope)


def deliver(house: House, district: District, may: Permit, scope: Scope) -> dict[str, int]:
    """Sends what waits within a scope; see `send`."""
    counts = dict.fromkeys(_COUNTED, 0)
    with house.ledger.begin() as session:
        counts["unknown"] += outbox.recover(session, house.clock(), scope, holder.lives)
        waiting = outbox.pending(session, scope)
    if not may.sends or (scope.department != modes.OPERATORS and modes.quiet(house, district, may)):
        return counts | {"planned": len(waiting)}
    if not waiting:
        return counts
    connection = house.connections(district.mail.connection)
    modes.check_host(may.mode, connection)
    why = ""
    for answer in _hand_over_all(house, district, connection, waiting):
        counts[answer.outcome] += 1
        why = answer.words if answer.outcome == "planned" else why
    with house.ledger.begin() as session:
        counts["planned"] = len(outbox.pending(session, scope))
    if counts["planned"]:
        raise DeferredError(counts, connection.conn_id, why)
    return counts


def _hand_over_all(
    house: House, district: District, connection: Connection, waiting: Iterable[int]
) -> Iterable[Answer]:
    """Over as many lines as the district allows; every line takes the next message when it is free."""
    numbers = deque(waiting)
    turn = threading.Lock()
    pace = Pace(house.var / f"pace-{connection.conn_id}", district.mail.per_minute)
    lines = [
        _Sender(house, district, connection, numbers, pace, turn)
        for _ in range(min(district.mail.connections, len(numbers)))
    ]
    if len(lines) == 1:
        lines[0].work()
        return lines[0].answers
    with ThreadPoolExecutor(len(lines), "mail") as pool:
        try:
            running = [pool.submit(line.work) for line in lines]
            for each in running:
                each.result()
        except BaseException:
            # Of this sender or of a stop signal: the others end the message they are at, and take no more.
            numbers.clear()
            raise
    return [answer for line in lines for answer in line.answers]


@dataclass
class _Sender:
    """One line to the mail server and the message that it has in hand."""

    house: House
    district: District
    connection: Connection
    numbers: deque[int]
    """Ids that wait; the lines of a sender share it."""
    pace: Pace
    turn: threading.Lock
    """One line at a time is at the ledger: they would queue up there anyway, and SQLite lets those who wait sleep."""
    answers: list[Answer] = field(default_factory=list)
    _name: str = field(default_factory=holder.name)
    _done: tuple[Claimed, Answer] | None = None
    """Sent, and not recorded yet: goes into the next claim's transaction."""

    def work(self) -> None:
        """Takes messages until none is left, or no line can be had."""
        with Line(self.connection) as line:
            try:
                while self._next(line):
                    pass
            finally:
                self._record()

    def _next(self, line: Line) -> bool:
        if not self.numbers:
            return False
        if self.pace.limited or not line.is_open:
            # What may take long must not keep an outcome waiting.
            self._record()
        self.pace.wait()
        try:
            line.open()
        except MailServerError as error:
            # Without a line no message is at fault: none is claimed, all wait.
            self.answers.append(Answer("planned", error.why))
            return False
        try:
            number = self.numbers.popleft()
        except IndexError:
            return False
        with self.turn, self.house.ledger.begin() as session:
            self._settle(session)
            claimed = outbox.claim(session, self.house.clock(), number, self._name)
        self._done = None
        if claimed is not None:
            self._hand_over(line, claimed)
        return True

    def _hand_over(self, line: Line, claimed: Claimed) -> None:
        try:
            answer = line.send(self.district.mail.sender, claimed.recipient, claimed.content)
        except BaseException as error:
            # A time limit or a stop signal inside the conversation: nobody knows how far it got.
            self._done = (claimed, Answer("unknown", f"{type(error).__name__} while sending"))
            raise
        self._done = (claimed, answer)
        self.answers.append(answer)

    def _settle(self, session: Session) -> None:
        if self._done is not None:
            claimed, answer = self._done
            outbox.settle(session, self.house.clock(), claimed, self._name, answer.outcome, answer.words)

    def _record(self) -> None:
        if self._done is not None:
            with self.turn, self.house.ledger.begin() as session:
                self._settle(session)
            self._done = None
