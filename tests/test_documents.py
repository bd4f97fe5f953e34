"""Two ways of writing one document's number are alike, two numbers are not; in SQL and on the engine all the same."""

from __future__ import annotations

import unicodedata

import ibis
import pyarrow as pa
import pytest

from chengxin import documents, engine

NUMBER = "历罚字〔2025〕1号"
SAME = [
    NUMBER, "历罚字[2025]1号", "历罚字(2025)1号", "历罚字（2025）1号", "历罚字［2025］1号", "历罚字【2025】1号",
    "历罚字﹝2025﹞1号", "历罚字｛2025｝1号", "历罚字<2025>1号", "历罚字《2025》1号", "历罚字（２０２５）１号",
    " 历罚字 〔2025〕\u30001号\u200b", "历罚字\t〔2025)1号\n", "历罚字〔2025〕1号\ufeff",
]  # fmt: skip
OTHERS = [
    "历罚字〔2025〕01号", "历罚字〔2025〕11号", "历罚字2025〕1号", "历罚字〔2025〕①号", "历罚字〔2025〕1¹号",
    "历罚〔2025〕1号", "歷罚字〔2025〕1号", "历罚字〔2025〕一号", "历罚字〔二〇二五〕1号", "",
]  # fmt: skip
LETTERS = {"W-1": ["W-1", "w 1".replace(" ", "-"), "Ｗ－１", "w—1", "W–１"], "O'1\\B": ["o'1\\b", "Ｏ＇1＼b"]}


def folded(connection: engine.Connection, numbers: list[str | None]) -> list[str | None]:
    rows = ibis.memtable(pa.table({"said": pa.array(numbers, pa.string())}))
    found: list[str | None] = connection.to_pyarrow(rows.select(alike=documents.alike(rows.said)))["alike"].to_pylist()
    return found


@pytest.fixture(scope="module")
def connection() -> engine.Connection:
    return engine.connect()


def test_one_number_however_it_is_written(connection: engine.Connection) -> None:
    assert set(folded(connection, [*SAME])) == {NUMBER}
    for number, forms in LETTERS.items():
        assert set(folded(connection, [*forms])) == {number}, number


def test_two_numbers_are_two(connection: engine.Connection) -> None:
    found = folded(connection, [NUMBER, *OTHERS, None])
    assert len(set(found)) == len(OTHERS) + 2
    assert found[-1] is None


def test_width_and_compatibility_forms_are_what_unicode_says(connection: engine.Connection) -> None:
    wide = [chr(point) for point in (*range(0xFF01, 0xFF5F), *range(0xF900, 0xFA6E), *range(0x2F00, 0x2FD6))]
    plain = [unicodedata.normalize("NFKC", char) for char in wide]
    assert folded(connection, [*wide]) == folded(connection, [*plain])


def test_sql_says_the_same(connection: engine.Connection) -> None:
    numbers = [*SAME, *OTHERS, *(form for forms in LETTERS.values() for form in forms), None]
    numbers += [chr(point) for point in range(1, 0x10000) if not 0xD800 <= point < 0xE000]
    said = engine.connect()
    said.con.register("numbers", pa.table({"n": pa.array(range(len(numbers))), "said": pa.array(numbers, pa.string())}))
    rows = said.con.execute(f"SELECT {documents.alike_sql('said')} FROM numbers ORDER BY n").fetchall()
    assert [alike for (alike,) in rows] == folded(connection, numbers)
