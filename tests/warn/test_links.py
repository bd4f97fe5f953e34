"""Tokens: one message, one desk, one mode, one last day; and nobody else's."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chengxin.connections import Connection
from chengxin.errors import ConfigError
from chengxin.settings import House
from chengxin.warn.links import CONNECTION, VALID_DAYS, Signer, signer

from .conftest import DAY

KEY = "ab" * 32
OLD, NEW = "o" * 40, "n" * 40


def test_a_token_names_what_it_was_made_for() -> None:
    named = Signer([NEW]).read(Signer([NEW]).token("sandbox", KEY, "zjj", DAY))
    assert named is not None
    assert (named.mode, named.message, named.department) == ("sandbox", KEY[:32], "zjj")
    assert named.last_day == DAY + timedelta(days=VALID_DAYS)


def test_the_same_message_has_the_same_token() -> None:
    tokens = {Signer([NEW]).token("production", KEY, "zjj", DAY) for _ in range(3)}
    assert len(tokens) == 1


def test_keys_rotate() -> None:
    before = Signer([OLD]).token("production", KEY, "zjj", DAY)
    both = Signer([NEW, OLD])
    assert both.read(before) is not None
    assert both.token("production", KEY, "zjj", DAY) == Signer([NEW]).token("production", KEY, "zjj", DAY)
    assert Signer([NEW]).read(before) is None


@given(st.data())
def test_no_changed_token_is_accepted(data: st.DataObject) -> None:
    token = Signer([NEW]).token("production", KEY, "zjj", DAY)
    content = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    assert Signer([NEW]).read(urlsafe_b64encode(bytes(content)).decode().rstrip("=")) is None


@given(st.text(max_size=120))
def test_no_other_text_is_a_token(text: str) -> None:
    assert Signer([NEW]).read(text) is None


def test_a_token_has_one_spelling() -> None:
    token = Signer([NEW]).token("production", KEY, "zjj", DAY)
    assert Signer([NEW]).read(token + "=") is None
    assert Signer([NEW]).read(token + "\n") is None


@pytest.mark.parametrize("password", ["", "short", f"{NEW} short"])
def test_keys_must_be_keys(house: House, password: str) -> None:
    there = replace(house, connections=lambda name: Connection(name, "generic", password=password))
    with pytest.raises(ConfigError) as caught:
        signer(there)
    assert CONNECTION in str(caught.value)
    assert not password or password not in str(caught.value)


def test_keys_are_never_shown() -> None:
    assert NEW not in repr(Signer([NEW]))
