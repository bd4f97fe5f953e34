"""What a batch is held against before anything is published: drift, bounds, shrinkage, and the sum.

A violated bound is a signal to explain the batch. Nothing is widened by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chengxin import persons
from chengxin.arrays import TEXT
from chengxin.contracts import Column, Contract
from chengxin.errors import BoundError, DriftError, SumError
from chengxin.normalise import headings
from chengxin.publish import Change
from chengxin.staging import Tally

ENOUGH = 20
"""Records below which the share of unreadable values says nothing about a column's type."""
_LONGEST, _LISTED = 40, 40
_CODE = r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}"
_NAMED = 8
"""Words and headings that are named; more are hinted at."""


def drift(contract: Contract, tally: Tally, places: Mapping[str, str] | None = None) -> dict[str, Any]:
    """New, missing and retyped columns (retyped: most of its values cannot be read as the contract says).

    Args:
        contract: the source's contract.
        tally: what was counted.
        places: raw file → the name that the source gave it, for the error.

    Raises:
        DriftError: one that the contract stops at; it says what came in which file, and what the contract expects.
    """
    if not tally.harvested and not tally.headings:
        return {"new": [], "missing": [], "retyped": []}
    expected = {*contract.columns, *contract.combined_headings, *contract.children, *contract.exclude}
    known = {*expected, *contract.other_headings, *contract.ignore}
    new = {heading for heading in tally.headings if heading not in known}
    missing = expected - tally.headings - _dispensable(contract.columns, tally.headings)
    for name, child in contract.children.items():
        keys = tally.item_headings.get(name, set())
        new |= {f"{name}.{key}" for key in keys - set(headings(child.columns)) - set(child.ignore)}
        gone = set(child.columns) - keys - _dispensable(child.columns, keys)
        missing |= {f"{name}.{key}" for key in gone} if keys else set()
    by_field = {column.to: heading for heading, column in contract.columns.items()}
    usable = tally.harvested - sum(tally.ignored.values())
    retyped = {
        by_field[field]: count
        for field, count in tally.unreadable.items()
        if field in by_field and usable >= ENOUGH and count * 2 > usable
    }
    strange = bool(tally.headings) and tally.headings.isdisjoint(known)
    found = {"new": _unquoted(new) if strange else shown(new), "missing": sorted(missing), "retyped": sorted(retyped)}
    stops = [kind for kind, names in found.items() if names and getattr(contract.drift, kind) == "stop"]
    if stops:
        first = [place for heading, place in sorted(tally.first_seen.items()) if heading in new or not new]
        at = ", ".join(dict.fromkeys(f"{(places or {}).get(sha, sha[:12])} row {row + 1}" for sha, row in first[:3]))
        near = {name: get_close_matches(name, new, 1, 0.6) for name in sorted(missing)}
        said = [
            f"came: {', '.join(_unquoted(tally.headings) if strange else _most(shown(tally.headings)))}",
            f"expected: {', '.join(_most(sorted(expected)))}" if missing else "",
            *(f"{shown(set(close))[0]} may be {name}" for name, close in near.items() if close and not strange),
            *(f"{name}: {count:,} of {usable:,} values cannot be read" for name, count in sorted(retyped.items())),
        ]
        raise DriftError(
            "; ".join(f"{kind} column: {', '.join(found[kind])}" for kind in stops),
            where=f"{contract.name} ({at})" if at else contract.name,
            why="the source's columns are no longer those of the contract; " + "; ".join(filter(None, said)),
            remedy="none of the contract's headings is there: another file, another `header_row`, or a first record in "
            "place of the headings; look at the raw file"
            if strange
            else f"see what the source changed; then map or ignore it in sources/{contract.name}.yml",
        )
    return found


def shown(headings: Set[str]) -> list[str]:
    """Headings that came, for people: sorted, cut, and with stars for what may be somebody's number or code."""
    cut = [heading if len(heading) <= _LONGEST else heading[:_LONGEST] + "…" for heading in sorted(headings)]
    stars = pc.replace_substring_regex(persons.hide(pa.array(cut, TEXT)), _CODE, "*" * 18)
    return list(stars.to_pylist())


def _unquoted(headings: Set[str]) -> list[str]:
    """Headings of which none is the contract's: the first record may stand in their place, with names and codes."""
    return [f"{len(headings)} headings that are none of the contract's"]


def _most(names: Sequence[str]) -> list[str]:
    return [*names[:_LISTED], *([f"… ({len(names)} in all)"] if len(names) > _LISTED else [])]


def _dispensable(columns: Mapping[str, Column], shown: Set[str]) -> set[str]:
    """Headings that may be away: optional ones, and those for which the source shows another one (`also`)."""
    return {heading for heading, column in columns.items() if column.optional or not shown.isdisjoint(column.also)}


def batch(contract: Contract, tally: Tally) -> list[str]:
    """Holds the bounds that need nothing but the batch; `shrink` needs the lake.

    Returns:
        Warnings, in words.

    Raises:
        BoundError: too few usable records, or a field that is too often empty.
    """
    bounds = contract.bounds
    usable = tally.harvested - tally.rejected
    remedy = "explain the batch first; the bound is not there to be widened until it fits"
    if usable < bounds.rows.min:
        raise BoundError(
            f"{usable} usable records, at least {bounds.rows.min} were expected",
            where=contract.name,
            why=f"{tally.harvested} harvested, {tally.rejected} rejected",
            remedy=remedy,
        )
    warnings = []
    if bounds.rows.max is not None and tally.harvested > bounds.rows.max:
        warnings.append(f"{tally.harvested} records, at most {bounds.rows.max} were expected")
    looked_at = tally.harvested - sum(tally.ignored.values())
    for name, bound in bounds.fields.items():
        share = tally.filled[name] / looked_at if looked_at else 1.0
        if share < bound.filled:
            raise BoundError(
                f"{name} is filled in {share:.1%} of {looked_at} records, at least {bound.filled:.1%} were expected",
                where=contract.name,
                remedy=remedy,
            )
    return warnings


def shares(tally: Tally) -> dict[str, float]:
    """Field → share of the records (ignored ones left aside) in which the source gives something: for the history."""
    looked_at = tally.harvested - sum(tally.ignored.values())
    return {name: round(count / looked_at, 4) for name, count in sorted(tally.filled.items())} if looked_at else {}


def alarms(
    contract: Contract,
    tally: Tally,
    jumps: Mapping[str, int],
    changes: Mapping[str, Change],
    drifted: Mapping[str, Sequence[str]],
    unread: int = 0,
) -> dict[str, Any]:
    """What a person must look at although the harvest is published; the operators' mail says it in words.

    Args:
        contract: the source's contract.
        tally: what was counted.
        jumps: see `Publication.jumps`.
        changes: see `Publication.compare`.
        drifted: what `drift` returned.
        unread: files that are there and could not be read yet, while others were.

    Returns:
        `empty`: a full source gave no record at all. `over`: more records than `bounds.rows.max`, as `[records, max]`.
        `personal_ids`: citizens' numbers met and withheld. `jumps`: money columns that jumped ten-thousandfold.
        `superseded`: records that differ from another one of their key, which came later and counts.
        `waiting`: keys that are missing and were not removed, since rejected rows without key and name may be theirs,
        as `[keys, rows]`. `words`: heading → rows with a word that its lookup does not have, and those words (none
        where they are too many to be words). `unread`: files that wait. `drift`: new, missing or retyped → headings,
        where the contract goes on. Only those that hold.
    """
    most = contract.bounds.rows.max
    waiting = sum(changes[name].waiting for name in contract.tables)
    found: dict[str, Any] = {
        "empty": contract.mode == "full" and not tally.harvested,
        "over": [tally.harvested, most] if most is not None and tally.harvested > most else None,
        "personal_ids": tally.personal_ids,
        "jumps": dict(jumps),
        "superseded": tally.ignored["superseded"],
        "waiting": [waiting, sum(tally.nameless.values())] if waiting else None,
        "unread": unread,
        "words": {
            heading: [sum(found.values()), [] if "" in found else [word for word, _ in found.most_common(_NAMED)]]
            for heading, found in sorted(tally.words.items())
        },
        "drift": {
            kind: [*names[:_NAMED], *(["…"] if names[_NAMED:] else [])] for kind, names in drifted.items() if names
        },
    }
    return {name: value for name, value in found.items() if value}


def told(alarms: Mapping[str, Any]) -> list[str]:
    """Alarms in words, one line each."""
    said = []
    if alarms.get("empty"):
        said.append("a full source without a record")
    if "over" in alarms:
        said.append("{:,} records, at most {:,} were expected".format(*alarms["over"]))
    if "personal_ids" in alarms:
        said.append(f"citizens' numbers withheld: {alarms['personal_ids']:,}")
    said += [
        f"{column}: {count:,} amounts jumped ten-thousandfold" for column, count in alarms.get("jumps", {}).items()
    ]
    if "superseded" in alarms:
        said.append(f"{alarms['superseded']:,} records left aside: a later one has the same key and says otherwise")
    if "waiting" in alarms:
        said.append("{:,} missing rows not removed: {:,} rejected rows without key and name".format(*alarms["waiting"]))
    if "unread" in alarms:
        said.append(f"{alarms['unread']:,} files that are not whole were left for the next harvest")
    for heading, (rows, words) in alarms.get("words", {}).items():
        said.append(
            f"{heading}: {rows:,} rows with words that no lookup has" + (f": {', '.join(words)}" if words else "")
        )
    said += [f"{kind} columns: {', '.join(names)}" for kind, names in alarms.get("drift", {}).items()]
    return said


def shrink(contract: Contract, changes: Mapping[str, Change]) -> None:
    """Holds the share of known keys of a full source that vanish at once.

    Raises:
        BoundError: too many.
    """
    # A whole list always has the bound: see `chengxin.contracts`.
    if contract.mode != "full" or contract.bounds.shrink is None:
        return
    most = contract.bounds.shrink.max
    for name in contract.tables:
        change = changes[name]
        # Also those that are not removed for the time being: half a list with one broken row is half a list.
        gone = change.removed + change.waiting
        if gone > most * change.known:
            raise BoundError(
                f"{gone} of {change.known} known rows of {name} would vanish, at most {most:.0%} may",
                where=contract.name,
                why="a list that shrinks at once is more often half a list than a true one",
                remedy="look at the source; if it is right, say so by widening bounds.shrink for one run",
            )


def sums(source: str, counts: Mapping[str, int]) -> None:
    """Holds harvested = published + unchanged + rejected + ignored.

    Raises:
        SumError: it does not hold.
    """
    parts = {name: counts[name] for name in ("published", "unchanged", "rejected", "ignored")}
    if counts["harvested"] != sum(parts.values()):
        raise SumError(
            f"{counts['harvested']} records harvested, {sum(parts.values())} accounted for",
            where=source,
            why=", ".join(f"{name} {count}" for name, count in parts.items()),
            remedy="a defect of ours: nothing was published; report it with the harvest's id",
        )
