"""From the bytes of a raw object to Arrow batches of text: one column a source heading, one row a source record.

Nothing is interpreted: a number arrives as it is written (`9.137E+17` stays recognisable as a code that Excel has
mangled), a date cell as ISO 8601, `true` and `false` as these words, a nested list or object as JSON text. No record
is lost: one that does not fit its table's shape arrives with the reason in `_problem`, for the gate to reject.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from chengxin import archive
from chengxin.contracts import Contract
from chengxin.ledger.models import RawObject
from chengxin.readers import decode
from chengxin.readers.raw import AtHand, Raw
from chengxin.readers.rows import MAX_ROWS, OWN_COLUMNS, PROBLEM, RAW_ROW, RAW_SHA256
from chengxin.reads import FilesRead, HttpRead
from chengxin.settings import House

__all__ = ["MAX_ROWS", "OWN_COLUMNS", "PROBLEM", "RAW_ROW", "RAW_SHA256", "batches"]


def batches(
    house: House, contract: Contract, raw_object: RawObject, at_hand: AtHand | None = None
) -> Iterator[pa.RecordBatch]:
    """The records of one raw object, at most 50,000 a batch; memory does not grow with the object.

    Args:
        house: where the archive is.
        contract: how the source is read.
        raw_object: its hash and its locator.
        at_hand: its bytes, from whoever has just archived them; None: they are read from the archive. Files always are.

    Yields:
        Batches with one text column for each heading that the source has there (null where a record has no value),
        then `_problem` (text: why the record does not fit its shape; else null), `raw_row` (int32: the
        record's place in the raw object, from 0, blank lines not counted) and `raw_sha256` (text). The headings of a
        JSON source are those of the batch's records; a sheet or delimited file without records yields one empty batch
        that shows its headings.

    Raises:
        ArchiveError: the raw object is not in the archive, or damaged.
        SourceContentError: bytes that are not what the contract promises, with file and place.
        DriftError: the same heading twice.
    """
    read = contract.read
    where = f"{contract.name}: {raw_object.locator}"
    sha256 = raw_object.sha256
    if isinstance(read, FilesRead):
        raw = Raw(sha256, where, lambda: archive.chunks(house, contract.name, sha256))
        return file_batches(contract, read, raw)
    from chengxin.readers import json_text

    def data() -> bytes:
        return archive.get(house, contract.name, sha256) if at_hand is None else at_hand.data

    if isinstance(read, HttpRead):
        encoding = read.encoding or decode.noted(raw_object.locator)
        listed = at_hand.listed if at_hand else None
        return json_text.page(data, sha256, read.envelope.records, _headings(contract), where, encoding, listed)
    return json_text.lines(data, sha256, where)


def file_batches(contract: Contract, read: FilesRead, raw: Raw) -> Iterator[pa.RecordBatch]:
    """The records of one file, or of the members of one that is packed; as `batches`."""
    if read.members is not None:
        from chengxin.readers import packed

        return packed.batches(raw, read.members, lambda member: _plain(contract, read, member))
    return _plain(contract, read, raw)


def _plain(contract: Contract, read: FilesRead, raw: Raw) -> Iterator[pa.RecordBatch]:
    match read.format:
        case "csv":
            from chengxin.readers import delimited

            return delimited.batches(raw, read)
        case "xlsx":
            from chengxin.readers import sheet

            return sheet.batches(raw, read)
        case "xml":
            from chengxin.readers import xml_text

            return xml_text.batches(raw, read, _headings(contract))
        case "pdf":
            from chengxin.readers import printed

            return printed.batches(raw, contract)
        case "json":
            from chengxin.readers import json_text

            return json_text.document(raw, read)


def _headings(contract: Contract) -> list[str]:
    """Every heading that the contract speaks of, once."""
    return list(
        dict.fromkeys(
            [
                *contract.columns,
                *contract.other_headings,
                *contract.children,
                *contract.exclude,
                *contract.combined_headings,
                *contract.ignore,
            ]
        )
    )
