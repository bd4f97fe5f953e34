"""The words of the mails: `include/mail/words.yml`, and the policy's own names for reasons and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chengxin import districts, yamlfile
from chengxin.districts import District
from chengxin.policy import model
from chengxin.settings import House
from chengxin.yamlfile import Strict

Tone = Literal["stop", "warn", "ask", "ok"]


class Outcome(Strict):
    """An outcome's colour, and what it asks the department to do."""

    tone: Tone
    do: str


class MailWords(Strict):
    """`words.yml`."""

    outcomes: Mapping[str, Outcome]
    sections: Mapping[str, str]
    readings: Mapping[str, str]
    industries: Mapping[str, str]
    source_states: Mapping[str, str]
    message_states: Mapping[str, str]
    harvest_states: Mapping[str, str]
    causes: Mapping[str, str]


@dataclass(frozen=True)
class Words:
    """All words a mail may need."""

    mail: MailWords
    reasons: Mapping[str, str]
    """Reason code → its words; a code without any is shown as it stands."""
    effects: Mapping[str, str]
    document: str
    """Number of the policy document, e.g. 济历城信用办〔2020〕2号."""

    def reason(self, code: str) -> str:
        """A reason in words."""
        return self.reasons.get(code, code)

    def effect(self, code: str) -> str:
        """An outcome in words."""
        return self.effects.get(code, code)

    def outcome(self, code: str) -> Outcome:
        """An outcome's colour and request."""
        return self.mail.outcomes[code]


def load(house: House, district: District) -> Words:
    """The words for one district.

    Raises:
        ConfigError: `words.yml` or the policy cannot be read.
    """
    folder = house.include_dir / "policy" / district.policy
    document = yamlfile.load(folder / "policy.yml", model.Document)
    vocabulary = yamlfile.load(_nearest(folder, "vocabulary.yml"), model.Words)
    return Words(
        mail=yamlfile.load(house.include_dir / "mail" / "words.yml", MailWords),
        reasons=vocabulary.reasons,
        effects=vocabulary.effects,
        document=document.number,
    )


def _nearest(folder: Path, name: str) -> Path:
    """A file of a document, or of the one it extends."""
    # Only two files are read, not the whole policy: a fault elsewhere in it must not silence the June countdown.
    while not (folder / name).exists():
        extends = yamlfile.load(folder / "policy.yml", model.Document).extends
        if extends is None:
            break
        folder = (folder / extends).resolve()
    return folder / name


def district_of(house: House) -> District:
    """The district that the house serves.

    Raises:
        ConfigError: its file is no valid district.
    """
    return districts.load(house.include_dir / "districts" / f"{house.district}.yml")
