"""The bounce box: delivery reports as real servers write them, over a real IMAP conversation, and from folders."""

from __future__ import annotations

import mailbox
import re
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from chengxin import warn
from chengxin.connections import Connection
from chengxin.errors import ConfigError, ConnectionNotFoundError
from chengxin.ledger import acts, outbox, settling
from chengxin.ledger.acts import Act
from chengxin.ledger.messages import Message
from chengxin.ledger.outbox import Draft
from chengxin.settings import House
from chengxin.warn import bounces, reports
from chengxin.warn.bouncebox import BounceBoxError

from .conftest import DAY, Catcher, Scene, body

SHAPES = Path(__file__).parents[1] / "fixtures" / "bounces"
OURS = "<0a1b2c3d4e5f@licheng.example>"


def shape(name: str, number: str = OURS) -> bytes:
    """A delivery report of some server on a message."""
    return (SHAPES / f"{name}.eml").read_bytes().replace(b"{id}", number.encode())


@pytest.fixture
def desk(house: House) -> House:
    """A house in production with one message on its way, and a folder for what comes back."""
    box = house.var / "bounces"
    box.mkdir(parents=True)
    there = replace(
        house, mode="production", connections=lambda name: Connection(name, "fs", extra={"path": str(box)})
    )  # fmt: skip
    draft = Draft(
        key="a" * 64, mode="production", district="370112", department="zjj", recipient="zjj@licheng.example",
        role="unit", kind="advice", matter="advice", stage="", fingerprint="f" * 64, as_of=DAY, subject="s",
        header_id=OURS, thread="<t@licheng.example>", content=b"bytes",
    )  # fmt: skip
    with there.ledger.begin() as session:
        outbox.put(session, there.clock(), [draft, replace(draft, mode="rehearsal")])
    return there


def _be(house: House, state: str) -> None:
    with house.ledger.begin() as session:
        session.execute(update(Message).where(Message.mode == "production").values(state=state, last_error=None))


def _message(house: House) -> Message:
    with house.ledger.begin() as session:
        return session.scalars(select(Message).where(Message.mode == "production")).one()


def _read(house: House, *raw: bytes) -> dict[str, int]:
    """What a reading comes to, without the zeros."""
    for number, content in enumerate(raw):
        (house.var / "bounces" / f"{number}.eml").write_bytes(content)
    return {name: count for name, count in bounces.read(house).items() if count}


@pytest.mark.parametrize("state", ["sent", "unknown"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("postfix-failed", "5.1.1 550 5.1.1 <ZJJ@licheng.example>: Recipient address rejected: User unknown"),
        ("headers-only-failed", "5.2.2 552"),
        ("answered-failed", "5.7.129 550 5.7.129 RESOLVER.RST.RestrictedToRecipientsPermission"),
    ],
)
def test_what_came_back_is_refused_and_says_why(desk: House, state: str, name: str, words: str) -> None:
    _be(desk, state)
    assert _read(desk, shape(name)) == {"bounced": 1}
    message = _message(desk)
    assert message.state == "refused"
    assert str(message.last_error).startswith(f"bounced: {words}")
    assert message.settled_at == desk.clock()
    with desk.ledger.begin() as session:
        act = session.scalars(select(Act).where(Act.kind == "message.bounced")).one()
        assert (act.actor, act.subject) == ("bounces", message.key)
        assert acts.verify(session).broken_at is None
        # It waits for a person, who can have it sent again.
        assert [each.id for each in settling.undecided(session, "370112")] == [message.id]
    # The same report once more, as servers do repeat themselves: nothing changes.
    assert _read(desk, shape(name)) == {"known": 1}


def test_a_delivery_settles_an_unknown_one(desk: House) -> None:
    _be(desk, "unknown")
    assert _read(desk, shape("delivered")) == {"confirmed": 1}
    assert (_message(desk).state, _message(desk).last_error) == ("sent", None)
    assert _read(desk, shape("delivered")) == {"known": 1}


def test_a_delay_decides_nothing(desk: House) -> None:
    for state in ("sent", "unknown"):
        _be(desk, state)
        assert _read(desk, shape("delayed")) == {"delayed": 1}
        assert _message(desk).state == state


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (shape("forwarded-failed"), "foreign"),  # the desk got it, and sent it on to a box that is not ours
        (shape("postfix-failed", "<ffff@licheng.example>"), "foreign"),
        (shape("prose"), "unreadable"),
        (shape("absent"), "unreadable"),
        (shape("postfix-failed").replace(b"Message-ID: <0a", b"X-Was: <0a"), "unreadable"),
        (shape("postfix-failed").replace(b"Action: failed", b"Action: perhaps"), "unreadable"),
        (shape("postfix-failed")[:1500], "unreadable"),
        (b"", "unreadable"),
        (bytes(range(256)) * 20, "unreadable"),
    ],
)
def test_nothing_is_guessed(desk: House, raw: bytes, outcome: str) -> None:
    _be(desk, "unknown")
    assert _read(desk, raw) == {outcome: 1}
    assert _message(desk).state == "unknown"
    assert [each.name for each in (desk.var / "bounces" / "look-at").iterdir()] == ["0.eml"]
    assert _read(desk) == {}


@pytest.mark.parametrize("state", ["planned", "sending", "superseded"])
def test_a_message_that_is_not_out_is_left_alone(desk: House, state: str) -> None:
    _be(desk, state)
    assert _read(desk, shape("postfix-failed")) == {"known": 1}
    assert _message(desk).state == state


def test_a_report_on_the_first_of_two_sendings(desk: House) -> None:
    """Sent again by a person's word: only a report on what arrived after that is on the second sending."""
    _be(desk, "unknown")
    with desk.ledger.begin() as session:
        again = desk.clock() + timedelta(hours=2)
        settling.decide(session, again, _message(desk).id, "not-sent", "operator/li", "日志中无此信")
    _be(desk, "sent")
    first = shape("postfix-failed")
    assert _read(desk, first) == {"unclear": 1}
    assert _read(desk, first.replace(b"Arrival-Date: Mon, 15 Jun 2026 08:31:05 +0800", b"X: y")) == {"unclear": 1}
    assert _message(desk).state == "sent"
    assert _read(desk, first.replace(b"2026 08:31:05 +0800", b"2026 10:31:05 +0800")) == {"bounced": 1}


def test_several_recipients_of_whom_one_is_ours(desk: House) -> None:
    _be(desk, "sent")
    other = b"Final-Recipient: rfc822; other@licheng.example\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n"
    raw = shape("postfix-failed").replace(b"\n", b"\r\n").replace(b"Final-Recipient:", other + b"Final-Recipient:", 1)
    assert len(reports.parse(raw)) == 2
    assert _read(desk, raw) == {"bounced": 1}


def test_a_maildir(desk: House, tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "Maildir")
    for name in ("postfix-failed", "prose"):
        box.add(shape(name))
    there = replace(desk, connections=lambda name: Connection(name, "fs", extra={"path": str(tmp_path / "Maildir")}))
    _be(desk, "sent")
    assert bounces.read(there) == {**dict.fromkeys(bounces.COUNTED, 0), "bounced": 1, "unreadable": 1}
    assert sorted(each.get_flags() for each in mailbox.Maildir(tmp_path / "Maildir")) == ["FS", "S"]
    assert not any(bounces.read(there).values())


@dataclass
class Imap:
    """A mailbox behind a socket that speaks as much of IMAP4rev1 as a reader of unread messages asks for."""

    mails: dict[int, bytes]
    flags: dict[int, set[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    refuses: str = ""
    """Begins commands that the server does not do."""

    def answer(self, command: str) -> tuple[list[bytes], str]:
        """Untagged lines and how it ended."""
        self.asked.append(command)
        if self.refuses and command.startswith(self.refuses):
            return [], "NO"
        word, _, rest = command.partition(" ")
        if word == "LOGIN":
            return [], "OK" if rest == 'office "p w"' else "NO"
        if word == "SELECT":
            return [b"* 2 EXISTS\r\n"], "OK" if rest in ("INBOX", "Bounces") else "NO"
        if command == "UID SEARCH UNSEEN":
            unseen = [str(n) for n in self.mails if "\\Seen" not in self.flags.get(n, ())]
            return [f"* SEARCH {' '.join(unseen)}\r\n".encode()], "OK"
        if found := re.fullmatch(r"UID FETCH (\d+) \(BODY\.PEEK\[\]<0\.(\d+)>\)", command):
            number, most = int(found[1]), int(found[2])
            raw = self.mails[number][:most]
            head = f"* {number} FETCH (UID {number} BODY[]<0> {{{len(raw)}}}\r\n".encode()
            return [head + raw + b")\r\n"], "OK"
        if found := re.fullmatch(r"UID STORE (\d+) \+FLAGS \((.*)\)", command):
            self.flags.setdefault(int(found[1]), set()).update(found[2].split())
            return [], "OK"
        return [b"* CAPABILITY IMAP4rev1\r\n"] if word == "CAPABILITY" else [], "OK"


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        box: Imap = self.server.box  # type: ignore[attr-defined]
        self.wfile.write(b"* OK ready\r\n")
        for line in self.rfile:
            tag, _, command = line.decode("ascii").strip().partition(" ")
            untagged, ended = box.answer(command)
            self.wfile.write(b"".join(untagged) + f"{tag} {ended} done\r\n".encode())
            if command == "LOGOUT":
                return


@pytest.fixture
def imap() -> Iterator[Imap]:
    box = Imap({7: shape("postfix-failed").replace(b"\n", b"\r\n"), 9: shape("prose").replace(b"\n", b"\r\n")})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Conversation) as server:
        server.daemon_threads = True
        server.box = box  # type: ignore[attr-defined]
        box.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield box
        server.shutdown()


def _over(house: House, port: int, **more: Any) -> House:
    def connections(name: str) -> Connection:
        extra = {"disable_ssl": True, "timeout": 5, "folder": "Bounces", **more.get("extra", {})}
        return Connection(name, "imap", "127.0.0.1", port, "office", more.get("password", "p w"), extra=extra)

    return replace(house, connections=connections)


def test_over_imap(desk: House, imap: Imap) -> None:
    _be(desk, "sent")
    there = _over(desk, imap.port)
    counts = bounces.read(there)
    assert {name: count for name, count in counts.items() if count} == {"bounced": 1, "unreadable": 1}
    assert imap.flags == {7: {"\\Seen"}, 9: {"\\Seen", "\\Flagged"}}
    assert not any(bounces.read(there).values())
    assert imap.asked[-1] == "LOGOUT"


def test_a_box_that_cannot_be_read(desk: House, imap: Imap, tmp_path: Path) -> None:
    for there in (
        _over(desk, imap.port, password="wrong"),
        _over(desk, imap.port, extra={"folder": "Nowhere"}),
        _over(desk, 1),
        replace(desk, connections=lambda name: Connection(name, "fs", extra={"path": str(tmp_path / "none")})),
    ):
        with pytest.raises(BounceBoxError) as refused:
            bounces.read(there)
        assert "wrong" not in str(refused.value)
    for command in ("UID SEARCH", "UID FETCH", "UID STORE"):
        imap.refuses = command
        with pytest.raises(BounceBoxError, match="refused"):
            bounces.read(_over(desk, imap.port))
    with pytest.raises(ConfigError):
        bounces.read(replace(desk, connections=lambda name: Connection(name, "imap")))

    def nothing(name: str) -> Connection:
        raise ConnectionNotFoundError(name)

    assert bounces.configured(desk)
    assert not bounces.configured(replace(desk, connections=nothing))


def test_a_killed_reader_reads_again(desk: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled, and not marked as read: the next reading finds it settled."""
    _be(desk, "sent")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            _read(desk, shape("postfix-failed"))
    assert _message(desk).state == "refused"
    assert _read(desk) == {"known": 1}


def test_the_whole_way(office: House, scene: Scene, catcher: Catcher) -> None:
    """Sent, returned by the server of a mailbox that is gone, told to the operators, and no longer taken for told."""
    scene.ready()
    scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
    warn.plan(office, DAY)
    assert warn.send(office, DAY, "zjj")["sent"] == 1
    box = office.var / "bounces"
    box.mkdir()
    raw = shape("postfix-failed", str(catcher.mails()[0]["Message-ID"]))
    (box / "1.eml").write_bytes(raw)
    mail = office.connections

    def connections(name: str) -> Connection:
        return Connection(name, "fs", extra={"path": str(box)}) if name == "chengxin_bounces" else mail(name)

    there = replace(office, connections=connections)
    assert bounces.read(there)["bounced"] == 1
    assert warn.summary(there, DAY)["refused"] == 1
    warn.report(there, DAY)
    assert "邮件被拒1封（区住建局）：bounced: 5.1.1" in body(catcher.mails()[-1])
    # It came back a day later: that day's report says so too.
    later = there.at(lambda: office.clock() + timedelta(days=1))
    with later.ledger.begin() as session:
        session.execute(update(Message).where(Message.kind == "advice").values(settled_at=later.clock()))
    scene.ready(DAY + timedelta(days=1))
    warn.report(later, DAY + timedelta(days=1))
    assert "此前的邮件被退回1封（区住建局）：bounced: 5.1.1" in body(catcher.mails()[-1])
    # The operator has the mailbox mended, and sends it again.
    with later.ledger.begin() as session:
        number = session.scalars(select(Message.id).where(Message.kind == "advice")).one()
        settling.decide(session, later.clock(), number, "not-sent", "operator/li", "邮箱已恢复")
    assert warn.send(later, DAY + timedelta(days=1), "zjj")["sent"] == 1
    assert catcher.mails()[-1]["Message-ID"] == catcher.mails()[0]["Message-ID"]
