"""The link in a mail by which a desk answers it: signed, expiring, for one message and one desk.

The token is all that the answering page asks for: no account, no login. It holds no secret and no content, only which
message of which mode, which desk, and the last day; a signature (HMAC-SHA-256, 128 bits of it) makes it one of ours.
The same message has the same token whatever run made it: the last day counts from the day that the message speaks for.

The signing keys are the password of the connection `chengxin_link_key` (`AIRFLOW_CONN_CHENGXIN_LINK_KEY`), separated
by white space: the first signs, all are accepted. To change keys put the new one in front, and take the old one out
`VALID_DAYS` later.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from chengxin.districts import District
from chengxin.errors import ConfigError, ConnectionNotFoundError
from chengxin.settings import House

CONNECTION = "chengxin_link_key"
VALID_DAYS = 60
"""A link can be used up to this many days after the day that its message speaks for."""
SHORTEST_KEY = 32
"""Characters of a key, at least."""

_MODES = {"production": b"p", "sandbox": b"s", "rehearsal": b"r"}
_VERSION = b"1"
_SIGNATURE, _KEY, _DAY = 16, 16, 3


@dataclass(frozen=True)
class Named:
    """What a token names."""

    mode: str
    message: str
    """The first 32 characters of the message's key."""
    department: str
    last_day: date


@dataclass(frozen=True)
class Signer:
    """Makes and reads tokens.

    Args:
        keys: the newest first.
    """

    keys: Sequence[str] = field(repr=False)

    def token(self, mode: str, key: str, department: str, as_of: date) -> str:
        """The token of a message.

        Args:
            mode: the mode that the message is planned in.
            key: the message's key, 64 hexadecimal digits.
            department: the desk's code.
            as_of: the day that the message speaks for.
        """
        last_day = as_of + timedelta(days=VALID_DAYS)
        named = b"".join(
            (
                _VERSION,
                _MODES[mode],
                bytes.fromhex(key)[:_KEY],
                last_day.toordinal().to_bytes(_DAY, "big"),
                department.encode(),
            )
        )
        return urlsafe_b64encode(_signature(self.keys[0], named) + named).decode().rstrip("=")

    def read(self, token: str) -> Named | None:
        """What a token names; None: it is none of ours, whatever the reason. Whether it has expired is not asked."""
        try:
            content = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        # Only one spelling of a token is a token.
        if urlsafe_b64encode(content).decode().rstrip("=") != token:
            return None
        signature, named = content[:_SIGNATURE], content[_SIGNATURE:]
        # Every key is tried, also after one that fits.
        fits = [hmac.compare_digest(signature, _signature(key, named)) for key in self.keys]
        if not any(fits) or named[:1] != _VERSION:
            return None
        place = 2 + _KEY + _DAY
        mode = next(name for name, letter in _MODES.items() if letter == named[1:2])
        last_day = date.fromordinal(int.from_bytes(named[2 + _KEY : place], "big"))
        return Named(mode, named[2 : 2 + _KEY].hex(), named[place:].decode(), last_day)


@dataclass(frozen=True)
class Links:
    """The links of a district's mails: where the answering page is, and what signs."""

    base: str
    signer: Signer

    def url(self, mode: str, key: str, department: str, as_of: date) -> str:
        """The address at which a desk answers a message."""
        return f"{self.base}/{self.signer.token(mode, key, department, as_of)}"


def signer(house: House) -> Signer:
    """The signer with the house's keys.

    Raises:
        ConnectionNotFoundError: there are no keys.
        ConfigError: a key is too short to be one.
    """
    keys = house.connections(CONNECTION).password.split()
    if not keys or any(len(key) < SHORTEST_KEY for key in keys):
        raise ConfigError(
            "the keys of the answering links cannot be used",
            where=f"connection {CONNECTION!r}",
            why=f"each key needs {SHORTEST_KEY} characters at least, and one key at least must be there",
            remedy="put random keys into its password, separated by spaces, the newest first (`openssl rand -hex 32`)",
        )
    return Signer(keys)


def links(house: House, district: District) -> Links | None:
    """The links of a district's mails; None: it has no answering page, or no keys.

    Missing keys cost the links, not the mails: a warning without a button is better than none. The operators hear
    of it (`unsigned`).

    Raises:
        ConfigError: a key is too short to be one.
    """
    base = (house.answers_url or district.mail.answers_url).rstrip("/")
    if not base:
        return None
    try:
        return Links(base, signer(house))
    except ConnectionNotFoundError:
        return None


def unsigned(house: House, district: District) -> bool:
    """Whether the district has an answering page, but no keys to sign links to it."""
    return bool(house.answers_url or district.mail.answers_url) and links(house, district) is None


def _signature(key: str, named: bytes) -> bytes:
    own = hashlib.sha256(b"chengxin answering link\n" + key.encode()).digest()
    return hmac.new(own, named, hashlib.sha256).digest()[:_SIGNATURE]
