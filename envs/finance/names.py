"""Company names: coined words, so many that no two companies need to share one."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


STARTS = _words(
    """
    Al Bar Bel Bran Cal Car Cor Dal Dan Del Dor El Fal Fen Fin Gal Gar Glen Hal Har Hol Jar
    Kel Ken Kor Lan Lin Lor Mal Mar Mer Mon Nor Ol Or Pal Per Ral Ren Ros Sal Sel Tal Tor Val
    Ver Wal Win
    """
)
MIDDLES = _words(
    """
    aba aco adi afe ago ala ami ano ape aru ebe eco edi efo ege ela emi eno epa eru iba ico
    ida ife igo ila imo ine ipo ira oba ode
    """
)
ENDS = _words(
    """
    bay beck bourne bridge brook burn bury by cliff combe court cross dale den don fell field
    ford gate ham haven hill holm hurst keld land ley low mere mont moor more mouth ness port
    ridge shaw stead stock stone ton vale view ville wall well wick wood
    """
)
SECONDS = _words(
    """
    Anchor Arbor Atlas Beacon Birch Bridge Canal Castle Cedar Central Citadel City Clover
    Coast Compass Coral Crescent Crown Delta Eagle Eastern Elm Falcon Garden Granite Guardian
    Harbour Heritage Highland Horizon Island Ivory Juniper Lake Laurel Liberty Lion Maple
    Meridian Mill Mutual National Northern Oak Ocean Olive Orchard Park Pearl Pioneer Prairie
    Quarry Regent River Royal Silver Southern Sterling Summit Swan Union Valley Western Willow
    """
)


def short_name(number: int, suffixes: tuple[str, ...]) -> str:
    """One of len(SECONDS) * len(suffixes) two-word names, such as "Harbour Bank"."""
    suffix, second = divmod(number, len(SECONDS))
    return f"{SECONDS[second]} {suffixes[suffix]}"


def long_name(number: int, suffixes: tuple[str, ...]) -> str:
    """One of `num_long_names` names, such as "Corineford Summit Bank", no two of them alike."""
    number, end = divmod(number, len(ENDS))
    number, middle = divmod(number, len(MIDDLES))
    rest, start = divmod(number, len(STARTS))
    return f"{STARTS[start]}{MIDDLES[middle]}{ENDS[end]} {short_name(rest, suffixes)}"


def num_short_names(suffixes: tuple[str, ...]) -> int:
    return len(SECONDS) * len(suffixes)


def num_long_names(suffixes: tuple[str, ...]) -> int:
    return len(STARTS) * len(MIDDLES) * len(ENDS) * num_short_names(suffixes)
