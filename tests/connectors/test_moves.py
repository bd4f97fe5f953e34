"""Records that move between pages while the total stands still: noticed, or the page would miss one and nobody know."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from chengxin import archive
from chengxin.errors import SourceContentError, SourceRefusedError
from chengxin.settings import House

from .tools import Killed, Reply, Request, Source, cursor, fetch_http, new_harvest, raw_objects, records

Change = Callable[[list[dict[str, Any]]], None]
CALM = [1, 5, 2, 3, 4, 1]


def move(origin: int, target: int) -> Change:
    def change(listed: list[dict[str, Any]]) -> None:
        listed.insert(target, {**listed.pop(origin), "name": "虚构企业，更新"})

    return change


def replaced(gone: int, come: int) -> Change:
    def change(listed: list[dict[str, Any]]) -> None:
        del listed[gone]
        listed.insert(come, {"code": "91370112XXXX999999", "name": "虚构企业，新"})

    return change


def once(source: Source, page: int, change: Change, nth: int = 1) -> None:
    """Just before the page is asked for (for the nth time), the list changes; its total does not."""
    times = [nth]

    def answer(request: Request) -> Reply | None:
        if request.query["page"] == str(page):
            times[0] -= 1
            if times[0] == 0:
                change(source.records)
        return None

    source.answers = answer


def fetched(house: House, harvest_id: int) -> list[dict[str, Any]]:
    """The records of all pages kept, in order."""
    bodies = [archive.get(house, "subject_registry", one.sha256) for one in raw_objects(house, harvest_id)]
    return [record for body in bodies for record in json.loads(body)["data"]["records"]]


def test_a_list_that_stands_still_costs_one_request_more(house: House, source: Source) -> None:
    source.records = records(45)
    harvest_id, _ = fetch_http(house, source)
    assert source.pages == CALM
    assert fetched(house, harvest_id) == source.records
    assert "ahead" not in cursor(house, harvest_id)


@pytest.mark.parametrize(
    ("page", "change"),
    [
        pytest.param(2, move(44, 0), id="last to front, early"),
        pytest.param(4, move(38, 0), id="unread to front, late"),
        pytest.param(2, move(0, 44), id="first to end, early"),
        pytest.param(4, move(9, 44), id="border to end, late"),
        pytest.param(3, replaced(3, 44), id="gone from the first, come to the end"),
        pytest.param(3, replaced(44, 3), id="gone from the last, come to the first"),
        pytest.param(3, replaced(39, 9), id="gone from the unread, come to the border"),
        pytest.param(3, replaced(0, 42), id="gone from the front, come to the last"),
        pytest.param(3, replaced(0, 38), id="gone from the front, come to the unread"),
    ],
)
def test_a_move_over_a_border_starts_the_walk_over(house: House, source: Source, change: Change, page: int) -> None:
    source.records = records(45)
    once(source, page, change)
    harvest_id, _ = fetch_http(house, source)
    assert source.pages[-len(CALM) :] == CALM
    assert len(source.pages) > len(CALM)
    assert fetched(house, harvest_id) == source.records
    assert len(raw_objects(house, harvest_id)) == 5


@pytest.mark.parametrize("change", [move(12, 44), replaced(15, 44)])
def test_a_move_from_a_middle_page_to_the_end_shows_at_the_last_page(
    house: House, source: Source, change: Change
) -> None:
    source.records = records(45)
    once(source, 3, change)
    harvest_id, _ = fetch_http(house, source)
    # The last page, which was read first, is asked for again, since one record stands on both sides of its border.
    assert source.pages == [1, 5, 2, 3, 4, 5, *CALM]
    assert fetched(house, harvest_id) == source.records


def test_two_that_change_places_over_the_first_page(house: House, source: Source) -> None:
    source.records = records(45)

    def swap(listed: list[dict[str, Any]]) -> None:
        listed[2], listed[32] = listed[32], listed[2]

    once(source, 3, swap)
    harvest_id, _ = fetch_http(house, source)
    assert source.pages == CALM + CALM
    assert fetched(house, harvest_id) == source.records


def test_without_a_total_the_borders_and_the_first_page_tell(house: House, source: Source) -> None:
    source.records = records(25)
    once(source, 2, move(24, 0))
    harvest_id, _ = fetch_http(house, source, envelope={"total": None})
    assert source.pages == [1, 2, 1, 1, 2, 3, 1]
    assert fetched(house, harvest_id) == source.records


def test_records_that_never_stand_still_are_named(house: House, source: Source) -> None:
    source.records = records(45)

    def answer(request: Request) -> None:
        if request.query["page"] == "3":
            move(40, 0)(source.records)

    source.answers = answer
    harvest_id = new_harvest(house)
    with pytest.raises(SourceContentError, match="twice in a row") as caught:
        fetch_http(house, source, harvest_id)
    assert "records move between pages" in caught.value.why
    assert (raw_objects(house, harvest_id), cursor(house, harvest_id)) == ([], {})


# What is no move ---------------------------------------------------------------------------------------------------


def test_neither_a_stamp_in_the_envelope_nor_an_ignored_heading_is_a_change(house: House, source: Source) -> None:
    source.records = records(45)

    def answer(request: Request) -> Reply:
        page = source.page(request)
        count = len(source.requests)
        listed = [{"gxsj": f"{count}-{n}", **one} for n, one in enumerate(page["data"]["records"])]
        return Reply(body={**page, "requestId": f"r{count}", "data": {**page["data"], "records": listed}})

    source.answers = answer
    fetch_http(house, source, watermark={"heading": "gxsj", "param": "since"})
    assert source.pages == CALM


def test_a_source_that_lists_records_twice_is_asked_once_whether_it_moved(house: House, source: Source) -> None:
    doubled = [one for one in records(20) for _ in range(2)]
    source.records = [records(1)[0], *doubled, *records(4)]
    harvest_id, _ = fetch_http(house, source)
    # … and once more at the last page, which was read long before.
    assert source.pages == [1, 5, 2, 1, 3, 4, 5, 1]
    assert fetched(house, harvest_id) == source.records


def test_a_doubled_source_whose_records_move_to_the_end_is_noticed(house: House, source: Source) -> None:
    source.records = [records(1)[0], *[one for one in records(20) for _ in range(2)], *records(4)]
    once(source, 3, move(15, 44))
    harvest_id, _ = fetch_http(house, source)
    assert source.pages[:7] == [1, 5, 2, 1, 3, 4, 5]
    assert fetched(house, harvest_id) == source.records


def test_a_server_that_does_not_know_the_page_parameter_but_stamps_its_answers(house: House, source: Source) -> None:
    source.records = records(30)
    first = source.page(Request("GET", "", {"page": "1", "size": "10"}, {}))
    source.answers = lambda _: Reply(body={**first, "requestId": len(source.requests)})
    with pytest.raises(SourceContentError, match="page 3 is page 1 once more"):
        fetch_http(house, source)


# Cut off -----------------------------------------------------------------------------------------------------------


def cut_off(house: House, source: Source, kill_after: Callable[[int], None], kept: int) -> int:
    source.records = records(45)
    harvest_id = new_harvest(house)
    kill_after(kept)
    with pytest.raises(Killed):
        fetch_http(house, source, harvest_id)
    source.requests.clear()
    return harvest_id


@pytest.mark.parametrize("change", [move(12, 30), replaced(35, 15)])
def test_what_moved_while_a_fetch_was_cut_off_starts_it_over(
    house: House, source: Source, kill_after: Callable[[int], None], change: Change
) -> None:
    harvest_id = cut_off(house, source, kill_after, 2)
    change(source.records)
    fetch_http(house, source, harvest_id)
    assert source.pages == [2, *CALM]
    assert fetched(house, harvest_id) == source.records


def test_what_changed_behind_the_page_kept_last_is_read_as_it_is(
    house: House, source: Source, kill_after: Callable[[int], None]
) -> None:
    harvest_id = cut_off(house, source, kill_after, 2)
    source.records[33]["name"] = "虚构企业，更新"
    fetch_http(house, source, harvest_id)
    assert source.pages == [2, 3, 4, 1]
    assert fetched(house, harvest_id) == source.records


def test_a_last_page_that_a_power_cut_took_is_read_ahead_again(
    house: House, source: Source, kill_after: Callable[[int], None]
) -> None:
    harvest_id = cut_off(house, source, kill_after, 2)
    archive.path(house, "subject_registry", cursor(house, harvest_id)["ahead"]).write_bytes(b"")
    fetch_http(house, source, harvest_id)
    assert source.pages == [2, 5, 3, 4, 1]
    assert fetched(house, harvest_id) == source.records
    assert all(archive.is_whole(house, "subject_registry", one.sha256) for one in raw_objects(house, harvest_id))


# The last page, read second ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "what"), [(0, "truncated: 0 records"), (3, "truncated: 3 records"), (7, "7 records")]
)
def test_a_last_page_that_does_not_fit_the_total_is_named_before_the_rest_is_read(
    house: House, source: Source, count: int, what: str
) -> None:
    source.records = records(45)
    source.fail(Reply(body={"code": "200", "data": {"total": 45, "records": records(count)}}), page=5)
    with pytest.raises(SourceContentError, match=f"{what} .* the total of 45 leaves 5"):
        fetch_http(house, source)
    assert source.pages == [1, 5]


def test_pages_that_cannot_be_turned_so_far_are_refused_before_the_rest_is_read(house: House, source: Source) -> None:
    source.records = records(45)
    source.fail(Reply(400, {"code": "400", "msg": "超出最大页数"}), page=5)
    with pytest.raises(SourceRefusedError, match="超出最大页数"):
        fetch_http(house, source)
    assert source.pages == [1, 5]
