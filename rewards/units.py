"""What the words beside a number mean: scales, percentages, currencies, things that are counted."""

from __future__ import annotations

SCALES = {
    "hundred": 1e2, "hundreds": 1e2, "k": 1e3, "thousand": 1e3, "thousands": 1e3, "lakh": 1e5,
    "lakhs": 1e5, "m": 1e6, "mm": 1e6, "mn": 1e6, "mil": 1e6, "mln": 1e6, "million": 1e6,
    "millions": 1e6, "crore": 1e7, "crores": 1e7, "b": 1e9, "bn": 1e9, "bln": 1e9, "billion": 1e9,
    "billions": 1e9, "t": 1e12, "tn": 1e12, "trillion": 1e12, "trillions": 1e12, "百": 1e2,
    "千": 1e3, "万": 1e4, "萬": 1e4, "百万": 1e6, "亿": 1e8, "億": 1e8, "十亿": 1e9, "十億": 1e9,
    "兆": 1e12,
}  # fmt: skip
PERCENTS = {
    "%": 1e-2, "percent": 1e-2, "percents": 1e-2, "pct": 1e-2, "percentage": 1e-2, "pp": 1e-2,
    "ppt": 1e-2, "百分点": 1e-2, "パーセント": 1e-2, "‰": 1e-3, "‱": 1e-4, "bp": 1e-4, "bps": 1e-4,
    "基点": 1e-4, "成": 1e-1,
}  # fmt: skip
CURRENCIES = {
    "$": "$", "us$": "USD", "usd": "USD", "hk$": "HKD", "hkd": "HKD", "a$": "AUD", "aud": "AUD",
    "c$": "CAD", "cad": "CAD", "s$": "SGD", "sgd": "SGD", "nt$": "TWD", "twd": "TWD",
    "nz$": "NZD", "nzd": "NZD", "r$": "BRL", "brl": "BRL", "€": "EUR", "eur": "EUR", "£": "GBP",
    "gbp": "GBP", "¥": "¥", "jpy": "JPY", "cny": "CNY", "rmb": "CNY", "₹": "INR", "inr": "INR",
    "rs": "INR", "rupees": "INR", "chf": "CHF", "rm": "MYR", "myr": "MYR", "ringgit": "MYR",
    "₩": "KRW", "krw": "KRW", "₽": "RUB", "rub": "RUB", "฿": "THB", "thb": "THB", "zar": "ZAR",
    "sek": "SEK", "nok": "NOK", "dkk": "DKK", "aed": "AED", "sar": "SAR", "元": "CNY", "块": "CNY",
    "人民币": "CNY", "美元": "USD", "美金": "USD", "港元": "HKD", "港币": "HKD", "欧元": "EUR",
    "英镑": "GBP", "日元": "JPY", "円": "JPY", "ドル": "$", "米ドル": "USD", "ユーロ": "EUR",
    "ポンド": "GBP", "ウォン": "KRW", "dollars": "$", "dollar": "$", "euros": "EUR", "euro": "EUR",
    "pounds": "GBP", "yuan": "CNY", "renminbi": "CNY", "yen": "JPY", "圆": "¥", "圓": "¥",
    "加元": "CAD", "澳元": "AUD", "新加坡元": "SGD", "新元": "SGD", "台币": "TWD", "新台币": "TWD",
    "瑞士法郎": "CHF", "瑞郎": "CHF", "francs": "CHF", "韩元": "KRW", "卢比": "INR",
    "卢布": "RUB", "rubles": "RUB", "泰铢": "THB", "baht": "THB", "pesos": "peso",
}  # fmt: skip
_SIGNS = {"$": ("USD", "HKD", "AUD", "CAD", "SGD", "TWD", "NZD"), "¥": ("CNY", "JPY")}
"""Currencies that share a sign."""
COUNTED = {
    "cents": "cent", "cent": "cent", "pence": "cent", "分": "cent", "角": "jiao", "x": "times",
    "times": "times", "倍": "times", "吨": "ton", "tons": "ton", "tonnes": "ton", "股": "share",
    "share": "share", "shares": "share", "株": "share", "手": "lot", "lot": "lot", "lots": "lot",
    "份": "unit", "枚": "coin", "张": "piece", "克": "gram", "人": "person", "people": "person",
    "employees": "person", "year": "year", "years": "year", "年": "year", "quarters": "quarter",
    "month": "month", "months": "month", "月": "month", "weeks": "week",
    "week": "week", "周": "week", "day": "day", "days": "day", "天": "day", "日": "day",
    "hours": "hour", "hour": "hour", "小时": "hour",
}  # fmt: skip
"""Things that cannot be confused with each other or with money."""

_DECREASES = (
    "decrease decline drop fall reduction loss lower down 减 减少 下降 下跌 下滑 降低 亏损 负"
)
_JAPANESE_DECREASES = "減 減少 低下 下落 赤字 ダウン"
DECREASES = frozenset(_DECREASES.split()) | frozenset(
    f"{particle}{word}{verb}"
    for word in _JAPANESE_DECREASES.split()
    for particle in ("", "の")
    for verb in ("", "した", "しました", "です")
)
FILLERS = frozenset(("/", ",", "个", "個", "×", "了", "整", "です"))
STOPS = frozenset(("per", "a", "an", "each", "every", "of", "in", "on", "for", "by", "/"))
"""After these a word says more about the number, but not what it counts: "$8.70 per share"."""
_REFUSED = (
    "( ) . or and to not no but nor if maybe perhaps possibly probably either neither between is"
    " isn't are was wrong incorrect true false plus minus negative from than vs versus less"
    " more over under most least instead rather except unless below above deficit"
    " decreased declined dropped fell never nope unlikely invalid squared cubed losses shortfall"
    " fewer maximum minimum max min null nan none tenths hundredths thousandths"
    " millionths ppm"
)
REFUSED = frozenset(_REFUSED.split())
"""Words after a number that make it something else than one number with a unit."""


def units_differ(one: str, other: str) -> bool:
    """Whether two stated units cannot be the same; "$" may be any dollar, "¥" yuan or yen, "" is
    anything."""
    if not one or not other or one == other:
        return False
    return other not in _SIGNS.get(one, ()) and one not in _SIGNS.get(other, ())
