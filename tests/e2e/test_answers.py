"""A desk answers its mail through Airflow's own server, without a login, after a whole day."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
import requests

from chengxin.ledger import answers

from .days import Played

pytestmark = pytest.mark.services


def _link(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return next((line for line in part.get_content().splitlines() if "/answers/" in line), "")


def test_every_departments_mail_can_be_answered(played: Played) -> None:
    links = [_link(mail) for mail in played.mails if "运行" not in str(mail["Subject"])]
    assert all(link.startswith(f"{played.day.airflow.url}/answers/") for link in links)
    assert len(set(links)) == len(links) == len(played.mails) - 1


def test_answered_without_a_login(played: Played) -> None:
    link = next(filter(None, map(_link, played.mails)))
    page = requests.get(link, timeout=30)
    assert page.status_code == 200
    # Airflow's own pages stay behind its login.
    assert requests.get(f"{played.day.airflow.url}/api/v2/dags", timeout=30).status_code == 401
    assert "已办结" in page.text
    with played.day.house.ledger.begin() as session:
        assert answers.counting(session, "370112", "sandbox") == {}
    done = requests.post(link, data={"what": "handled"}, timeout=30)
    assert (done.status_code, done.url) == (200, link)
    with played.day.house.ledger.begin() as session:
        (given,) = answers.counting(session, "370112", "sandbox").values()
    assert given.what == "handled"
    assert requests.get(link[:-1] + "?", timeout=30).status_code == 404
