"""A house in which the story was played; the real PostgreSQL of the ledger's tests, for the desk."""

from __future__ import annotations

import pytest

from chengxin import upkeep
from chengxin.desk.refresh import refresh
from chengxin.settings import House
from chengxin.tables import TABLES
from tests.conftest import NOW, ROOT
from tests.desk import story
from tests.desk.story import STEPS, play
from tests.ledger.conftest import postgres

__all__ = ["played", "postgres"]


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The whole story, refreshed after each step, with files merged in between."""
    house = House(root=ROOT, var=tmp_path_factory.mktemp("played"), district="370112", clock=lambda: NOW)
    for step in STEPS:
        play(house, step)
        if step is story.late:
            # Rows move to other files; commits keep their numbers.
            many, upkeep.MANY = upkeep.MANY, 2
            merged = sum(upkeep.compact(house, name) for name in TABLES)
            upkeep.MANY = many
            assert merged > 5
        assert refresh(house)["rows"]
    return house
