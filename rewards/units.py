"""What the words beside a number mean: scales, percentages, currencies, things that are counted."""

from __future__ import annotations

import re

SCALES = {
    "hundred": 1e2, "hundreds": 1e2, "k": 1e3, "thousand": 1e3, "thousands": 1e3, "lakh": 1e5,
    "lakhs": 1e5, "m": 1e6, "mm": 1e6, "mn": 1e6, "mil": 1e6, "mln": 1e6, "million": 1e6,
    "millions": 1e6, "crore": 1e7, "crores": 1e7, "b": 1e9, "bn": 1e9, "bln": 1e9, "billion": 1e9,
    "billions": 1e9, "t": 1e12, "tn": 1e12, "trillion": 1e12, "trillions": 1e12, "百": 1e2,
    "千": 1e3, "万": 1e4, "萬": 1e4, "百万": 1e6, "亿": 1e8, "億": 1e8, "十亿": 1e9, "十億": 1e9,
    "兆": 1e12, "京": 1e16,
    "垓": 1e20, "thou": 1e3, "grand": 1e3, "tsd": 1e3, "tausend": 1e3, "lac": 1e5,
    "lacs": 1e5, "mill": 1e6, "mio": 1e6, "millionen": 1e6, "cr": 1e7, "bil": 1e9, "bill": 1e9,
    "mrd": 1e9, "mlrd": 1e9, "mld": 1e9, "mds": 1e9, "milliard": 1e9, "milliards": 1e9,
    "milliarden": 1e9, "trn": 1e12, "tril": 1e12, "quadrillion": 1e15, "quintillion": 1e18,
}  # fmt: skip
PERCENTS = {
    "%": 1e-2, "percent": 1e-2, "percents": 1e-2, "pct": 1e-2, "percentage": 1e-2, "pp": 1e-2,
    "ppt": 1e-2, "百分点": 1e-2, "パーセント": 1e-2, "‰": 1e-3, "‱": 1e-4, "bp": 1e-4, "bps": 1e-4,
    "基点": 1e-4, "成": 1e-1, "割": 1e-1,
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
    "pln": "PLN", "zloty": "PLN", "mxn": "MXN", "czk": "CZK", "huf": "HUF", "ils": "ILS",
    "idr": "IDR", "php": "PHP", "vnd": "VND", "rand": "ZAR", "won": "KRW", "rupee": "INR",
    "rupiah": "IDR", "lira": "TRY", "kronor": "SEK", "btc": "BTC", "bitcoin": "BTC",
    "bitcoins": "BTC", "比特币": "BTC",
}  # fmt: skip
_NAMES = "|".join(sorted((w for w in CURRENCIES if w[1:] and not w.isascii()), key=len)[::-1])
_CODES = "|".join(word for word in CURRENCIES if len(word) == 3 and word.isalpha())
CURRENCY_MARK = (
    rf"(?:(?:us\s{{0,2}}|hk|nt|nz|[acsr])?\$|[€£¥₹₩₽฿]|(?:{_CODES})(?![a-z])"
    r"|rm(?=\s?[0-9])|rs\.?(?=\s?[0-9])"
    rf"|{_NAMES})"
)
"""How a currency is written before digits; a pattern, without regard to case."""
_SIGNS = {
    "$": ("USD", "HKD", "AUD", "CAD", "SGD", "TWD", "NZD"), "¥": ("CNY", "JPY"), "coin": ("BTC",),
}  # fmt: skip
"""Currencies that share a sign; and 枚, which counts coins."""
COUNTED = {
    "cents": "cent", "cent": "cent", "pence": "cent", "分": "cent", "角": "jiao", "x": "times",
    "times": "times", "fold": "times", "倍": "times", "吨": "ton", "tons": "ton", "tonnes": "ton",
    "股": "share", "share": "share", "shares": "share", "株": "share", "手": "lot",
    "lot": "lot", "lots": "lot",
    "份": "unit", "枚": "coin", "张": "piece", "克": "gram", "g": "gram", "gram": "gram",
    "grams": "gram", "pt": "point", "人": "person", "people": "person",
    "employees": "person", "year": "year", "years": "year", "年": "year", "quarters": "quarter",
    "month": "month", "months": "month", "月": "month", "weeks": "week",
    "week": "week", "周": "week", "day": "day", "days": "day", "天": "day", "日": "day",
    "hours": "hour", "hour": "hour", "小时": "hour", "hrs": "hour", "yrs": "year", "mths": "month",
    "wks": "week", "pts": "point", "kg": "kg", "km": "km", "ft": "ft", "lbs": "lb", "kwh": "kWh",
    "mwh": "MWh", "gwh": "GWh", "mw": "MW", "gw": "GW", "bbl": "barrel", "bbls": "barrel",
    **dict.fromkeys(("mile", "miles", "mi"), "mile"), "mph": "mph", "kph": "kph", "cm": "cm",
    "sq": "area", "sqft": "area", "kilometers": "km", "meters": "metre", "litres": "litre",
    "liters": "litre", "ml": "ml", "inches": "inch", "feet": "ft", "foot": "ft", "lb": "lb",
}  # fmt: skip
"""Things that cannot be confused with each other or with money."""

FALL = (
    r"(?:decrease|decline|drop|fall|reduction|loss|deficit|shortfall|outflow|write-?(?:down|off)"
    r"|contraction|shrinkage|slump|plunge|erosion|verlust|perte|pérdida)"
    r"(?:e?s)?"
)
"""A noun that turns the sign: "a loss of 94" is -94. A pattern, for use without regard to case."""
CJK_FALL = (
    "(?<![增涨升])[降跌减減]幅|下降|减少|減少|下跌|下滑|降低|净?亏损?|(?<!涨)跌(?!幅)|赤字|净?流出|净卖出|净?损失|缺口|逆差|(?<!増)減(?![価幅])|减值|純?損失"
    "|回落|缩水|萎缩|下挫|低下|下落|縮小|落ち込み"
)
_DECREASES = (
    "lower downward downwards weaker smaller worse down lost reduced decreased declined dropped"
    " fell negative 减 负 亏"
)
_CJK_DECREASES = "减少 下降 下跌 下滑 降低 亏损 净亏损 流出 净流出"
_JAPANESE_DECREASES = (
    "減 減少 減益 減収 低下 下落 縮小 落ち込み 落ち込んだ 低い マイナス 赤字 損失 ダウン"
)
_DECREASED = re.compile(FALL)
_CJK_DECREASED = frozenset(_DECREASES.split()) | frozenset(
    f"{particle}{word}{verb}"
    for word in (*_CJK_DECREASES.split(), *_JAPANESE_DECREASES.split())
    for particle in ("", "の", "的", "ポイント", "ポイントの")
    for verb in ("", "した", "しました", "です")
)
FILLERS = frozenset(("/", ",", "个", "個", "×", "了", "整", "です"))
_NO_UNIT = (
    "approx approximately roughly about rounded only exactly total overall net gross ttm ytd"
    " 左右 余额 约 大约"
)
NO_UNIT = frozenset(_NO_UNIT.split())
"""Words after a number that say nothing of what it counts."""
STOPS = frozenset(("per", "a", "an", "each", "every", "of", "in", "on", "for", "by", "/"))
"""After these a word says more about the number, but not what it counts: "$8.70 per share"."""
_REFUSED = (
    "( ) . or and to not no but nor if maybe perhaps possibly probably either neither between"
    " is isn't are was wrong incorrect true false plus minus from than vs versus less more"
    " over under most least instead rather except unless below above ish double twice triple"
    " extra against compared previously originally formerly actually too off short away shy"
    " never nope unlikely invalid squared cubed fewer maximum minimum max min null nan none"
    " rejected excluded removed disproved falsely oops mistake lie"
    " tenths hundredths thousandths millionths ppm best worst tops red"
)
REFUSED = frozenset(_REFUSED.split())
"""Words after a number that make it something else than one number with a unit."""
_MONEY = frozenset(CURRENCIES.values())
_TIMES = frozenset(("year", "quarter", "month", "week", "day", "hour"))
THING = "thing"
"""The unit of what is counted by a word that is not known: "101 stores"."""
_COMPOUND = re.compile(
    r"(k|m|mn|mm|bn)?(usd|eur|gbp|cny|rmb|jpy|hkd|inr|chf|cad|aud|sgd|sek|nok|dkk)(k|m|mn|mm|bn|b)?"
)
_SCALE_LIKE = re.compile(
    r"[a-z]*(?:illion|illiard|ilion|iliar|iljo|ilja|illon|housand|lakh|crore)[a-z]*"
    r"|(?:kilo|mega|giga|tera|deci|centi|milli|micro|nano|arab|kharab|mille|miles|mia|bio|dozens?|scores?|myriads?|quad"
    r"|wan|yi|man|oku|qian|bai|ribu|juta|tys)"
    r"|[b-df-hj-np-tv-xz]{2,4}|[a-z]{1,2}(?:usd|eur|gbp|chf|jpy|cny)"
)
UNIT_LABEL = re.compile(r"^(?:单位|單位|単位)\s*[:为は]?\s*|^以|计$")
_MENTIONED = re.compile(
    r"[a-z]{2,}|[%‰$€£¥]|[十百千万萬亿億兆京]+|[美港欧日韩]?元|円", re.IGNORECASE
)
_CJK_SCALE = re.compile("[十百千万萬亿億兆京]+")


def units_mentioned(text: str) -> list[str]:
    """The words of a text in which a scale, a percentage or a currency may be stated."""
    return _MENTIONED.findall(text.lower())


def is_scale(word: str) -> bool:
    """Whether a word is a scale, or seems to be one."""
    if word in SCALES or _CJK_SCALE.fullmatch(word):
        return True
    return len(word) > 4 and is_scale_like(word)


def is_decrease(word: str) -> bool:
    """Whether a word after a number turns its sign: "94 loss", "94亏损"."""
    return word in _CJK_DECREASED or _DECREASED.fullmatch(word) is not None


def is_scale_like(word: str) -> bool:
    """Whether a word that is not known may be a scale, such as "zillion" or a "mlrd" of consonants
    alone, so that the number is not known either."""
    return word not in COUNTED and _SCALE_LIKE.fullmatch(word) is not None


def read_compound(word: str) -> tuple[float, str] | None:
    """Scale and currency of "meur" or "usdbn"; None for other words."""
    match = _COMPOUND.fullmatch(word)
    if match is None or (match[1] and match[3]):
        return None
    return SCALES.get(match[1] or match[3] or "", 1.0), CURRENCIES[match[2]]


def units_differ(gold: str, answer: str) -> bool:
    """Whether the unit of an answer cannot be that of the gold; "$" may be any dollar, "¥" yuan or
    yen, "" is anything. Things that are not known are no money, and nothing that is."""
    if not gold or not answer or gold == answer:
        return False
    if gold == THING:
        return answer in _MONEY or answer in _TIMES
    return answer not in _SIGNS.get(gold, ()) and gold not in _SIGNS.get(answer, ())
