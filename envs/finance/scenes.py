"""The five scenes: what each one's companies look like and which questions only it asks."""

from __future__ import annotations

from collections.abc import Mapping

from envs.finance import banking, funds, insurance, securities, trusts
from envs.finance.companies import Layout
from envs.finance.families import Family

_MODULES = (banking, securities, insurance, trusts, funds)

LAYOUTS: Mapping[str, Layout] = {module.LAYOUT.scene: module.LAYOUT for module in _MODULES}
OWN_FAMILIES: Mapping[str, tuple[Family, ...]] = {
    module.LAYOUT.scene: module.FAMILIES for module in _MODULES
}
