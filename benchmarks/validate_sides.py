"""The contestants of `validate.py`: raw rows → accepted rows, rejected rows with reasons, and counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

DAY = date(2026, 6, 15)
SOURCE = "subject_registry"

Work = Callable[[], tuple[int, dict[str, Any]]]


def ours(file: str, folder: str) -> Work:
    """The gate: normalise, one status column per rule, Great Expectations over them, accepted and rejected rows."""
    import ibis
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from chengxin import contracts, normalise
    from chengxin.contracts import FACT_TABLES
    from chengxin.judging import CHUNK
    from chengxin.quality import judge, rules
    from chengxin.quality.gate import Gate
    from chengxin.staging import _causes

    root = Path(__file__).resolve().parents[1]
    contract = contracts.load(root / f"include/sources/{SOURCE}.yml")
    table = FACT_TABLES[contract.table]
    chosen = rules.of(rules.load(rules.path(root)), table)
    connection = ibis.duckdb.connect().con
    rows = pq.read_table(file)

    def gate(records: pa.Table, name: str) -> tuple[int, dict[str, Any]]:
        spent = dict.fromkeys(("prepare", "judge", "great_expectations", "split"), 0.0)
        accepted, refused, causes = [], [], {}
        keeper = Gate(root, Path(folder) / name)

        def timed(stage: str, work: Callable[[], Any]) -> Any:
            begun = time.perf_counter()
            result = work()
            spent[stage] += time.perf_counter() - begun
            return result

        for start in range(0, records.num_rows, CHUNK):
            part = records.slice(start, CHUNK)
            facts = timed(
                "prepare", lambda part=part, start=start: normalise.facts(contract, normalise.chunk(part, start))
            )
            judged = timed("judge", lambda facts=facts: judge.judge(connection, facts, chosen, DAY))
            timed("great_expectations", lambda judged=judged: keeper.add(judged))
            begun = time.perf_counter()
            accepted.append(pa.table(dict(facts.columns)).filter(pc.invert(pa.array(judged.bad))))
            refused.append(judge.rejected(judged))
            for cause, count in _causes(judged).items():
                causes[cause] = causes.get(cause, 0) + count
            spent["split"] += time.perf_counter() - begun
        timed("great_expectations", keeper.close)
        good, bad = pa.concat_tables(accepted), pa.concat_tables(refused)
        return records.num_rows, {
            "accepted": good.num_rows,
            "rejected": bad.num_rows,
            "causes": dict(sorted(causes.items())),
            "seconds": {stage: round(seconds, 3) for stage, seconds in spent.items()},
        }

    gate(rows.slice(0, 2000), "warm")
    return lambda: gate(rows, "run")


def pandera(file: str, folder: str) -> Work:
    """pandera doing all of it itself: parsers make types of text, checks judge, lazy validation collects the causes."""
    import warnings

    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    warnings.filterwarnings("ignore")
    import pandera.pandas as pa

    frame = pq.read_table(file).to_pandas(types_mapper=pd.ArrowDtype)
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)

    value = np.full(256, 255, np.uint8)
    value[np.frombuffer(alphabet.encode(), np.uint8)] = np.arange(31)

    def check_character(codes: pd.Series) -> pd.Series:
        fine = codes.str.fullmatch(f"[{alphabet}]{{18}}").fillna(False).to_numpy(dtype=bool)
        good = np.zeros(len(codes), bool)
        order = value[np.frombuffer("".join(codes[fine]).encode(), np.uint8).reshape(-1, 18)].astype(np.int32)
        good[fine] = (31 - order[:, :17] @ np.array(weights) % 31) % 31 == order[:, 17]
        return pd.Series(good, index=codes.index)

    def cleaned(series: pd.Series) -> pd.Series:
        text = series.astype("string[pyarrow]").str.strip()
        return text.mask(text.isin(["", "\\N", "暂无", "9999-09-09", "1899-12-31"]))

    def days(text: pd.Series) -> pd.Series:
        # The fast shape first: only what it leaves is guessed at, value by value.
        found = pd.to_datetime(text, errors="coerce", format="ISO8601")
        left = found.isna() & text.notna()
        return found.mask(left, pd.to_datetime(text[left], errors="coerce", format="mixed")) if left.any() else found

    def parsed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(
            **{name: cleaned(table[name]) for name in fields},
            _row=range(len(table)),
        ).assign(
            UNISCID=lambda rows: (
                rows["UNISCID"].str.normalize("NFKC").str.replace(r"[\s-]", "", regex=True).str.upper()
            ),
            capital=lambda rows: pd.to_numeric(rows["REGCAPRMB"].str.replace(",", ""), errors="coerce") * 10_000,
            **{f"{name}_day": lambda rows, name=name: days(rows[name]) for name in dates},
            name_key=lambda rows: rows["ENTNAME"].str.normalize("NFKC").str.replace(r"\s", "", regex=True).str.upper(),
        )

    fields = (
        "UNISCID", "ENTNAME", "ENTCAT", "ESTDATE", "REGSTATE", "REVDATE", "CANDATE", "DOMDISTRICT", "INDUSTRYPHY",
        "DOM", "REGCAPRMB",
    )  # fmt: skip
    dates = ("ESTDATE", "REVDATE", "CANDATE")
    personal = r"\d{6}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]"
    readable = [
        pa.Check(lambda rows, name=name: rows[name].isna() | rows[f"{name}_day"].notna(), name=f"date.readable:{name}")
        for name in dates
    ]
    schema = pa.DataFrameSchema(
        {
            "UNISCID": pa.Column(
                nullable=False,
                checks=[pa.Check(lambda codes: check_character(codes), name="code.valid", ignore_na=True)],
            ),
            "ENTNAME": pa.Column(
                nullable=False, checks=pa.Check(lambda text: ~text.str.contains("\ufffd"), name="text.clean")
            ),
            "REGSTATE": pa.Column(nullable=False, checks=pa.Check.isin(["1", "2", "3", "4", "9"], name="word.known")),
            "ENTCAT": pa.Column(nullable=True, checks=pa.Check.isin(["1", "2", "3"], raise_warning=True)),
            "DOMDISTRICT": pa.Column(
                nullable=True, checks=pa.Check.str_matches(r"^[0-9]{6}([0-9]{3}([0-9]{3})?)?$", raise_warning=True)
            ),
            "DOM": pa.Column(
                nullable=True, checks=pa.Check(lambda text: ~text.str.contains(personal), name="personal_id")
            ),
        },
        parsers=pa.Parser(parsed),
        checks=[
            *readable,
            pa.Check(
                lambda rows: rows["REGCAPRMB"].isna() | rows["capital"].notna(), name="capital", raise_warning=True
            ),
            pa.Check(
                lambda rows: ~(rows["ESTDATE_day"] > pd.Timestamp(DAY)),
                name="established_not_later",
                raise_warning=True,
            ),
            pa.Check(
                lambda rows: ~(rows[["REVDATE_day", "CANDATE_day"]].min(axis=1) < rows["ESTDATE_day"]),
                name="ends_after_start",
                raise_warning=True,
            ),
        ],
    )

    def gate(table: pd.DataFrame) -> tuple[int, dict[str, Any]]:
        try:
            schema.validate(table, lazy=True)
        except pa.errors.SchemaErrors as errors:
            cases = errors.failure_cases
            lost = cases["index"].dropna().unique()
            refused = cases[cases["index"].notna()].drop_duplicates("index")
            good = errors.data.drop(index=lost)
            causes = refused.groupby("check").size().to_dict()
        else:
            raise SystemExit("rows without a fault are no measure of a gate")
        causes = {str(cause): int(count) for cause, count in causes.items()}
        return len(table), {"accepted": len(good), "rejected": len(lost), "causes": causes}

    gate(frame.iloc[:2000])
    return lambda: gate(frame)
