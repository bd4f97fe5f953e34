"""Made-up names and addresses. Each name holds 示例, so that it can be told from any real one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Indices = npt.NDArray[np.int64]

MARK = "示例"
"""The word that says: made up."""

_FIRST = "星云海天泰华盛嘉恒瑞鑫宏远航达通顺和祥康宁裕丰茂兴隆昌荣德信诚智博雅文景明晨晓岚澜川峰松柏"
_SECOND = "桥帆舟源泉溪岭原野林森禾穗禧禄贺庆乐悦晴朗晖曜辰霖沐泽润涵清致臻锐捷迅腾骏骐麟翔羽翎"

# Trade → letter of GB/T 4754-2017.
_TRADES = {
    "建材": "F", "商贸": "F", "建筑工程": "E", "装饰工程": "E", "市政园林": "E", "机电设备": "C", "精密机械": "C",
    "食品": "C", "包装制品": "C", "生物科技": "M", "信息技术": "I", "软件": "I", "网络科技": "I", "物流": "G",
    "供应链管理": "G", "餐饮管理": "H", "酒店管理": "H", "物业服务": "K", "房地产开发": "K", "企业管理咨询": "L",
    "人力资源": "L", "广告传媒": "L", "工程设计": "M", "检测技术": "M", "环保科技": "N", "水务": "D", "新能源": "D",
    "家政服务": "O", "教育科技": "P", "医疗器械": "F", "健康管理": "Q", "文化传播": "R", "体育发展": "R",
    "融资担保": "J", "农业发展": "A", "汽车服务": "O",
}  # fmt: skip
_FORMS = ("有限公司", "有限责任公司", "股份有限公司")
_SHOPS = {
    "便利店": "F", "超市": "F", "五金店": "F", "服装店": "F", "水果店": "F", "面馆": "H", "快餐店": "H", "烧烤店": "H",
    "理发店": "O", "洗车行": "O", "汽修厂": "O", "打印社": "L", "药店": "F", "货运部": "G", "民宿": "H", "茶叶店": "F",
}  # fmt: skip
_CROPS = ("蔬菜种植", "果树种植", "草莓种植", "苗木花卉", "粮食种植", "畜禽养殖", "水产养殖", "农机服务")
_ROADS = ("示例一路", "示例二路", "示例东街", "示例西街", "样板大道", "样板南路", "样板北路", "演示中路")


def enterprises(indices: Indices) -> tuple[pa.Array, pa.Array]:
    """Names and industry letters of enterprises; different up to twelve million.

    One in eleven carries its place in full-width brackets, as in `星桥示例建材（济南）有限公司`.
    """
    trades = list(_TRADES)
    word, trade, form = _split(indices, len(trades), len(_FORMS))
    bracketed = indices % 11 == 7
    names = _join(
        _pick(["", "济南"], (~bracketed).astype(np.int64)),
        *word,
        _pick([MARK], np.zeros(len(indices), dtype=np.int64)),
        _pick(trades, trade),
        _pick(["", "（济南）"], bracketed.astype(np.int64)),
        _pick(_FORMS, form),
    )
    return names, _pick(list(_TRADES.values()), trade)


def shops(indices: Indices) -> tuple[pa.Array, pa.Array]:
    """Names and industry letters of individual businesses; beyond 35,000 they repeat, as they do in life."""
    kinds = list(_SHOPS)
    word, kind, _ = _split(indices % (len(_FIRST) * len(_SECOND) * len(kinds)), len(kinds), 1)
    nothing = np.zeros(len(indices), dtype=np.int64)
    return _join(_pick(["历城区"], nothing), *word, _pick([MARK], nothing), _pick(kinds, kind)), _pick(
        list(_SHOPS.values()), kind
    )


def cooperatives(indices: Indices) -> tuple[pa.Array, pa.Array]:
    """Names and industry letters of farmers' co-operatives."""
    word, crop, _ = _split(indices, len(_CROPS), 1)
    nothing = np.zeros(len(indices), dtype=np.int64)
    return _join(
        _pick(["济南"], nothing), *word, _pick([MARK], nothing), _pick(_CROPS, crop), _pick(["农民专业合作社"], nothing)
    ), _pick(["A"], nothing)


def addresses(streets: pa.Array, numbers: Indices) -> pa.Array:
    """Addresses on roads that do not exist.

    Args:
        streets: name of the street office per row.
        numbers: any number per row.
    """
    house = pa.array(numbers // len(_ROADS) % 380 + 1).cast(pa.string())
    nothing = np.zeros(len(numbers), dtype=np.int64)
    return _join(
        _pick(["山东省济南市历城区"], nothing),
        streets,
        _pick(_ROADS, numbers % len(_ROADS)),
        house,
        _pick(["号"], nothing),
    )


def _split(indices: Indices, trades: int, forms: int) -> tuple[list[pa.Array], Indices, Indices]:
    """Numbers → two or three characters, a trade and a form; one number, one combination."""
    short = len(_FIRST) * len(_SECOND) * trades * forms
    # A stride coprime to every radix spreads neighbours over the alphabet.
    rest = np.where(indices < short, indices * 7919 % short, indices - short)
    rest, form = np.divmod(rest, forms)
    rest, trade = np.divmod(rest, trades)
    rest, second = np.divmod(rest, len(_SECOND))
    rest, first = np.divmod(rest, len(_FIRST))
    third = np.where(indices < short, 0, 1 + rest % len(_FIRST))
    return [_pick(_FIRST, first), _pick(["", *_FIRST], third), _pick(_SECOND, second)], trade, form


def _pick(words: Sequence[str], indices: Indices) -> pa.Array:
    return pa.array(list(words), pa.string()).take(pa.array(indices))


def _join(*parts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")
