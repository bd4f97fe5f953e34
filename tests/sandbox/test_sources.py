"""Every contract meets its source: as the sandbox shows it, and as the samples under `tests/fixtures` keep it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.csv
import pytest

from chengxin import contracts, readers
from chengxin.contracts import Contract
from chengxin.readers.raw import Raw
from chengxin.reads import DatabaseRead, FilesRead, HttpRead
from chengxin.sandbox import samples
from chengxin.sandbox.affairs import DEPARTMENTS, PARTNERS
from chengxin.sandbox.frontdb import ROW_NUMBER
from chengxin.sandbox.shapes import SOURCES
from chengxin.sandbox.world import World

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
CONTRACTS, ERRORS = contracts.load_all(ROOT / "include" / "sources")
NAMES = sorted(set(SOURCES) - {"applicants"})
"""The sources that the sandbox shows. A source added later has a test of its own under `tests/sources`."""


@pytest.fixture(scope="module")
def world() -> World:
    return World(1, 400, date(2026, 6, 15))


def _headings(contract: Contract) -> set[str]:
    return {*contract.columns, *contract.ignore, *contract.children}


def test_all_load() -> None:
    assert not ERRORS
    assert set(NAMES) <= set(CONTRACTS)


def test_all_fact_tables_are_fed() -> None:
    fed = {table for contract in CONTRACTS.values() for table in contract.tables}
    assert fed == set(contracts.FACT_TABLES)


@pytest.mark.parametrize("name", NAMES)
def test_every_heading_is_mapped_or_ignored_in_writing(name: str, world: World) -> None:
    contract, table = CONTRACTS[name], world.source(name)
    shown = {*table.column_names, *filter(None, [ROW_NUMBER.get(SOURCES[name].place)])}
    assert shown <= _headings(contract)
    assert {*contract.columns, *contract.children} <= shown
    for child, rules in contract.children.items():
        fields = {field.name for field in table.schema.field(child).type.value_type}
        assert fields == {*rules.columns, *rules.ignore}


@pytest.mark.parametrize("name", NAMES)
def test_every_word_of_a_strict_lookup_is_known(name: str, world: World) -> None:
    for heading, column in CONTRACTS[name].columns.items():
        if column.lookup_strict:
            words = set(world.source(name)[heading].drop_null().to_pylist()) - {heading}
            assert words <= set(column.lookup), heading


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_from_the_place_where_it_is_served(name: str) -> None:
    read, source = CONTRACTS[name].read, SOURCES[name]
    if isinstance(read, HttpRead):
        assert (read.path, read.connection, read.auth) == (source.place, "sharing_portal", "hmac_sha256")
    elif isinstance(read, DatabaseRead):
        assert (read.table, read.connection) == (source.place, "front_db")
    else:
        assert isinstance(read, FilesRead)
        assert (read.pattern, read.connection) == (source.place.replace("{day}", "{as_of}"), "file_drop")


def test_departments_of_the_contracts_are_those_of_the_world() -> None:
    matters, consents = CONTRACTS["matters"].columns["cbdw"], CONTRACTS["consents"].columns["接收单位"]
    expected = {name: code for code, name in DEPARTMENTS.items()}
    assert dict(matters.lookup) == expected
    # A bank and a party to contracts look up with a consent, and open no matter.
    assert dict(consents.lookup) == expected | {name: code for code, name in PARTNERS.items()}


def test_the_samples_are_those_of_the_sandbox(tmp_path: Path) -> None:
    for file in samples.write(tmp_path):
        kept = FIXTURES / file.relative_to(tmp_path)
        if file.suffix == ".xlsx":
            assert _cells(file) == _cells(kept)
        else:
            assert file.read_bytes() == kept.read_bytes(), f"{kept.name}: write the samples anew"


@pytest.mark.parametrize("name", NAMES)
def test_each_contract_names_its_sample(name: str) -> None:
    contract = CONTRACTS[name]
    assert contract.fixture is not None
    file = FIXTURES / contract.fixture
    read = contract.read
    if isinstance(read, HttpRead):
        headings = set(json.loads(file.read_text("utf-8"))["data"][0])
    elif isinstance(read, DatabaseRead):
        headings = set(json.loads(file.read_text("utf-8").splitlines()[0]))
    elif read.format == "json":
        headings = set(json.loads(file.read_text("utf-8"))["data"]["reports"][0])
    elif read.format == "xlsx":
        headings = set(_cells(file)[read.header_row - 1])
    elif read.format in ("xml", "pdf"):
        raw = Raw("0" * 64, file.name, lambda: iter([file.read_bytes()]))
        (batch,) = readers.file_batches(contract, read, raw)
        assert batch.column(readers.PROBLEM).null_count == batch.num_rows > 0
        headings = set(batch.schema.names) - set(readers.OWN_COLUMNS)
    else:
        headings = set(pa.csv.read_csv(pa.py_buffer(file.read_bytes().decode(read.encoding).encode())).column_names)
    assert {*contract.columns, *contract.children} <= headings <= _headings(contract)


def _cells(file: Path) -> list[tuple[object, ...]]:
    sheet = openpyxl.load_workbook(file, read_only=True)["备案机构"]
    return [tuple(row) for row in sheet.iter_rows(values_only=True)]
