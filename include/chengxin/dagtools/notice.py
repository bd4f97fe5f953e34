"""The failure notice: one mail to the operators when a DAG run fails. Departments never get it.

It hangs on the DAG: Airflow's DAG processor calls it after the run has failed for good, also when a task's process
was killed. It carries names, ids and messages of the library's own errors, never a record's content.
"""

from __future__ import annotations

import contextlib
import logging
import os
import smtplib
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from chengxin.connections import Connection
from chengxin.dagtools.days import as_of
from chengxin.dagtools.homes import named
from chengxin.dagtools.house import house
from chengxin.settings import House

if TYPE_CHECKING:
    from chengxin.districts import District

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds that the mail server may take to answer."""


def tell_operators(context: Mapping[str, Any]) -> None:
    """Sends the notice about a failed run. A notice that cannot be sent is logged: the run has failed either way."""
    try:
        from chengxin import districts  # every DAG file imports this module, and few runs fail

        place = house(named(context["dag"].dag_id).home.district)
        district = districts.load(place.include_dir / "districts" / f"{place.district}.yml")
        server = place.connections(district.mail.connection)
        if not _may_send(place, server):
            log.warning("no failure notice in mode %s", place.mode)
            return
        send(server, notice(place, district, context), district.mail.operators)
    except Exception:
        log.exception("the failure notice could not be sent")


def notice(place: House, district: District, context: Mapping[str, Any]) -> EmailMessage:
    """The notice, without recipients."""
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    try:
        day = as_of(context).isoformat()
    except Exception:  # noqa: BLE001  # a notice without its day is better than none
        day = "不详"
    instance = context.get("ti")
    lines = [
        f"运行失败：{dag_id}",
        "",
        f"数据日期：{day}",
        f"运行编号：{run_id}",
        f"最后任务：{getattr(instance, 'task_id', '不详')}",
        f"原因：{context.get('reason') or '不详'}",
    ]
    message = _ledger_message(place, dag_id)
    if message:
        lines += ["", "台账记录：", *(f"  {line}" for line in message.splitlines())]
    base = os.environ.get("AIRFLOW__API__BASE_URL", "").rstrip("/")
    if base:
        lines += ["", f"运行页面：{base}/dags/{dag_id}/runs/{run_id}"]
    lines += ["", "处理：查看任务日志，排除原因后清除失败的任务重跑。其他数据源不受影响；各部门不会收到本通知。", ""]
    mail = EmailMessage()
    mail["Subject"] = f"[诚信·{district.name}] 运行失败：{dag_id}（{day}）"
    mail["From"] = formataddr((district.mail.sender_name, district.mail.sender))
    mail["Date"] = format_datetime(place.clock())
    mail["Message-ID"] = make_msgid(domain=district.mail.sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(lines))
    return mail


def send(server: Connection, mail: EmailMessage, recipients: tuple[str, ...]) -> None:
    """One message per recipient, so that one refused address costs no other its notice."""
    refused: list[str] = []
    for recipient in recipients:
        del mail["To"]
        mail["To"] = recipient
        with _connected(server) as smtp:
            try:
                smtp.send_message(mail)
            except smtplib.SMTPRecipientsRefused:
                refused.append(recipient)
    if refused:
        log.error("the mail server refused %d of %d operators", len(refused), len(recipients))


def _may_send(place: House, server: Connection) -> bool:
    if place.mode == "production":
        return True
    return place.mode == "sandbox" and _loopback(server.host)


def _loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _connected(server: Connection) -> smtplib.SMTP:
    """A session with the server, by the switches of Airflow's SMTP connections."""
    secure = not server.extra.get("disable_ssl", False)
    kind = smtplib.SMTP_SSL if secure else smtplib.SMTP
    smtp = kind(server.host, server.port or (465 if secure else 25), timeout=TIMEOUT)
    if not secure and not server.extra.get("disable_tls", False):
        smtp.starttls()
    if server.login:
        smtp.login(server.login, server.password)
    return smtp


def _ledger_message(place: House, dag_id: str) -> str | None:
    """What the ledger keeps about the source's newest harvest, if that one failed."""
    source = named(dag_id).source
    if not source:
        return None
    from sqlalchemy import select

    from chengxin.ledger.models import Harvest

    with place.ledger.begin() as session:
        newest = session.scalars(select(Harvest).where(Harvest.source == source).order_by(Harvest.id.desc())).first()
        return newest.message if newest and newest.state in ("failed", "stopped", "fetching") else None
