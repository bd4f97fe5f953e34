"""Work lists as XLSX: text cells only, made column by column, the same bytes for the same rows.

Every cell is an inline string: an enterprise called `=1+1` stays a name, a code of 18 digits stays a code. The cells
also carry the text format and the quote prefix, so that editing one in a spreadsheet program does not turn it into a
formula. Written here rather than by openpyxl, which takes about ten times as long and stamps the present time into
the file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_STAMP = (2000, 1, 1, 0, 0, 0)
_TYPES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/styles.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>
</Types>"""
_ROOT = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
 Target="xl/workbook.xml"/></Relationships>"""
_BOOK = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name={name} sheetId="1"
 r:id="rId1"/></sheets><definedNames><definedName name="_xlnm.Print_Titles" localSheetId="0">{titles}</definedName>
</definedNames></workbook>"""
_PARTS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
 Target="worksheets/sheet1.xml"/><Relationship Id="rId2"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/>
</Relationships>"""
_STYLES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><fonts count="3">
<font><sz val="11"/><name val="宋体"/></font>
<font><b/><sz val="11"/><color rgb="FFFFFFFF"/><name val="宋体"/></font>
<font><sz val="10"/><color rgb="FF444444"/><name val="宋体"/></font></fonts>
<fills count="3"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>
<fill><patternFill patternType="solid"><fgColor rgb="FF1F3A5F"/></patternFill></fill></fills>
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="4">
<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>
<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" applyNumberFormat="1" applyAlignment="1">
<alignment vertical="top" wrapText="1"/></xf>
<xf numFmtId="49" fontId="1" fillId="2" borderId="0" xfId="0" quotePrefix="1" applyFont="1" applyFill="1"/>
<xf numFmtId="49" fontId="2" fillId="0" borderId="0" xfId="0" quotePrefix="1" applyFont="1" applyAlignment="1">
<alignment vertical="top" wrapText="1"/></xf>
</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""
_TEXT, _HEAD, _NOTE = 1, 2, 3
# What XML 1.0 forbids, and what turns a line's direction or hides in it.
_FORBIDDEN = r"[\p{Cc}\p{Cf}\x{FFFE}\x{FFFF}]+"
_MOST_CHARACTERS = 32_000


@dataclass(frozen=True)
class Column:
    """A column of a work list: its heading, and its width in characters."""

    heading: str
    width: int


def clean(texts: pd.Series[str]) -> pd.Series[str]:
    """Texts from outside, fit to be shown: one line, no control or direction characters, no null."""
    cleaned = _clean(pa.array(texts, pa.string(), from_pandas=True))
    return pd.Series(cleaned.to_pandas().to_numpy(), index=texts.index, dtype=object)


def _clean(values: pa.Array) -> pa.Array:
    lines = pc.replace_substring_regex(pc.fill_null(values, ""), r"[\s\x{0085}\x{2028}\x{2029}]+", " ")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(lines, _FORBIDDEN, ""))


def workbook(title: str, columns: Mapping[str, Column], rows: pd.DataFrame, notes: Sequence[str] = ()) -> bytes:
    """A workbook of one sheet: notes on top, then the headings, then the rows.

    Args:
        title: name of the sheet.
        columns: column of `rows` → how it is shown, in this order; other columns are left out.
        rows: the list; values are shown as text, nulls as empty cells.
        notes: lines above the headings.
    """
    first = len(notes) + 1
    last = first + len(rows)
    end = _letter(len(columns))
    widths = "".join(
        f'<col min="{number}" max="{number}" width="{column.width}" customWidth="1"/>'
        for number, column in enumerate(columns.values(), start=1)
    )
    merged = "".join(f'<mergeCell ref="A{number}:{end}{number}"/>' for number in range(1, first))
    sheet = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        '<sheetViews><sheetView workbookViewId="0">'
        f'<pane ySplit="{first}" topLeftCell="A{first + 1}" activePane="bottomLeft" state="frozen"/>'
        f"</sheetView></sheetViews><cols>{widths}</cols><sheetData>"
        + "".join(_line(number, _NOTE, [note]) for number, note in enumerate(notes, start=1))
        + _line(first, _HEAD, [column.heading for column in columns.values()])
        + _rows(rows, list(columns), first + 1)
        + f'</sheetData><autoFilter ref="A{first}:{end}{last}"/>'
        + (f'<mergeCells count="{len(notes)}">{merged}</mergeCells>' if notes else "")
        + '<pageSetup paperSize="9" orientation="landscape"/></worksheet>'
    )
    name = escape(title[:31].replace("'", "''"))
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _ROOT,
        "xl/workbook.xml": _BOOK.format(name=quoteattr(title[:31]), titles=f"'{name}'!${first}:${first}"),
        "xl/_rels/workbook.xml.rels": _PARTS,
        "xl/styles.xml": _STYLES,
        "xl/worksheets/sheet1.xml": sheet,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in parts.items():
            entry = zipfile.ZipInfo(path, _STAMP)
            archive.writestr(entry, content.encode(), zipfile.ZIP_DEFLATED, compresslevel=4)
    return packed.getvalue()


def _letter(number: int) -> str:
    return chr(ord("A") + number - 1)


def _line(number: int, style: int, values: Sequence[str]) -> str:
    cells = "".join(
        f'<c r="{_letter(place)}{number}" s="{style}" t="inlineStr"><is><t xml:space="preserve">'
        f"{escape(value)}</t></is></c>"
        for place, value in enumerate(values, start=1)
    )
    return f'<row r="{number}">{cells}</row>'


def _rows(rows: pd.DataFrame, columns: Sequence[str], first: int) -> str:
    if rows.empty:
        return ""
    numbers = pa.array(range(first, first + len(rows)), pa.int64()).cast(pa.string())
    pieces: list[pa.Array | str] = ['<row r="', numbers, '">']
    for place, name in enumerate(columns, start=1):
        pieces += [f'<c r="{_letter(place)}', numbers, f'" s="{_TEXT}" t="inlineStr"><is><t xml:space="preserve">']
        pieces += [_cells(rows[name]), "</t></is></c>"]
    pieces.append("</row>")
    scalars = [pa.scalar(piece) if isinstance(piece, str) else piece for piece in pieces]
    lines = pc.binary_join_element_wise(*scalars, pa.scalar(""))
    return "".join(lines.to_pylist())


def _cells(values: pd.Series[str]) -> pa.Array:
    array = pa.array(values.astype("str"), pa.string(), from_pandas=True)
    array = pc.utf8_slice_codeunits(_clean(array), 0, _MOST_CHARACTERS)
    for found, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        array = pc.replace_substring(array, found, written)
    return array
