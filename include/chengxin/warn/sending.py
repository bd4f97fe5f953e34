"""Sends what waits: claim, commit, hand over, record. At most once each, and never silently lost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from chengxin.districts import District
from chengxin.ledger import outbox
from chengxin.ledger.outbox import Claimed, Scope
from chengxin.settings import House
from chengxin.warn import holder, modes
from chengxin.warn.modes import Permit
from chengxin.warn.smtp import Answer, DeferredError, Line, MailServerError
from chengxin.warn.words import district_of

_COUNTED = ("sent", "refused", "unknown", "planned")


def send(house: House, as_of: date, department: str) -> dict[str, int]:
    """Sends the messages of one department that wait, up to those of a day.

    Nothing is sent in rehearsal, nor in production for a day before yesterday. Messages whose sender died are marked
    `unknown` first.

    Args:
        house: the house.
        as_of: the Beijing date; messages of later days stay.
        department: its code.

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
    if not may.sends:
        return counts | {"planned": len(waiting)}
    if not waiting:
        return counts
    connection = house.connections(district.mail.connection)
    modes.check_host(may.mode, connection)
    why = ""
    with Line(connection) as line:
        for outcome, words in _each(house, district, line, waiting):
            counts[outcome] += 1
            why = words if outcome == "planned" else why
    with house.ledger.begin() as session:
        counts["planned"] = len(outbox.pending(session, scope))
    if counts["planned"]:
        raise DeferredError(counts, connection.conn_id, why)
    return counts


def _each(house: House, district: District, line: Line, waiting: Iterable[int]) -> Iterable[tuple[str, str]]:
    """Outcome and words of every message that this sender got hold of."""
    me = holder.name()
    for number in waiting:
        try:
            line.open()
        except MailServerError as error:
            # Without a line no message is at fault: none is claimed, all wait.
            yield "planned", error.why
            return
        with house.ledger.begin() as session:
            claimed = outbox.claim(session, house.clock(), number, me)
        if claimed is None:
            continue
        answer = _hand_over(house, district, line, claimed, me)
        yield answer.outcome, answer.words


def _hand_over(house: House, district: District, line: Line, claimed: Claimed, me: str) -> Answer:
    try:
        answer = line.send(district.mail.sender, claimed.recipient, claimed.content)
    except BaseException as error:
        # A time limit or a stop signal inside the conversation: nobody knows how far it got.
        _record(house, claimed, me, Answer("unknown", f"{type(error).__name__} while sending"))
        raise
    _record(house, claimed, me, answer)
    return answer


def _record(house: House, claimed: Claimed, me: str, answer: Answer) -> None:
    with house.ledger.begin() as session:
        outbox.settle(session, house.clock(), claimed, me, answer.outcome, answer.words)
