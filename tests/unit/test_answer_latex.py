"""Answers in LaTeX: what stands around a box, and the typography within: golds with replies."""

from __future__ import annotations

import pytest

from rewards.boxes import balanced
from rewards.numeric import Question
from rewards.typography import plain
from tests.unit.answer_rows import MILLION, UNKNOWN, Row, replies_of

PERCENT = Question(unit="percent", answer_type="arithmetic", fractions=False)


AROUND_A_BOX = (
    Row(
        "94",
        MILLION,
        r"**\boxed{94}** million | \boxed{94} M | \boxed{94}\textbf{ million} | "
        r"\boxed{94}\times 10^6 | \boxed{94}, in millions | \boxed{94} (USD million) | "
        r"\boxed{94}. The 2019 value was 5 billion | \boxed{94} Based on the table | "
        r"\boxed{94} in 2019 | \boxed{94}, up from 2 billion",
        r"**\boxed{94}** billion | \boxed{94}\,\textbf{billion} | \boxed{94}B | $\boxed{94}$ K | "
        r"\boxed{94}\mathrm{B} | \boxed{94} USD billion | \boxed{94}\times 10^9 | "
        r"\boxed{94}\text{, in billions} | \boxed{94} dollars in billions | "
        r"\boxed{94}\mathbf{\%} | "
        r"\boxed{94}\ {\rm billion} | \boxed{94} crore | \boxed{94}^2 | \boxed{94} \times 2 | "
        r"\boxed{94}\,000 | \boxed{94} \pm 1",
    ),
    Row(
        "94",
        MILLION,
        r"- \boxed{94} | 5829 - 5735 = \boxed{94} | 5829 - \boxed{94} = 5735 | \(\boxed{94}\) | "
        r"(Revenue: \boxed{94}) | Net income – \boxed{94} | **Answer** - \boxed{94} | "
        r"1. \boxed{94}",
        r"-\boxed{94} | $-\boxed{94}$ | $-$\boxed{94} | -\$\boxed{94} | −\boxed{94} | "
        r"(\boxed{94}) | "
        r"($\boxed{94}$) | minus \boxed{94} | a loss of about $\boxed{94}$ million | "
        r"= - \boxed{94}",
    ),
    Row(
        "-94",
        MILLION,
        r"-\boxed{94} | a loss of \boxed{94} | (\boxed{94}) | a loss of \boxed{-94} | "
        r"变化为-\boxed{94} | The change is -$\boxed{94}$",
        r"-\boxed{-94} | 5829 - \boxed{94} | - \boxed{94} | --\boxed{94} | "
        r"a loss of 5, then \boxed{94}",
    ),
    Row(
        ["4.1%", "4.6%"],
        UNKNOWN,
        r"\boxed{4.1; 4.6}\% | \boxed{4.1, 4.6}\% | \boxed{4.1\% \\ 4.6\%}",
        r"\boxed{4.1; 4.6} | \boxed{4.1; 4.6} million | \boxed{4.1; 4.6; 4.7}\%",
    ),
)

TYPOGRAPHY = (
    Row(
        "94",
        MILLION,
        r"\boxed{\bf 94} | \boxed{\boldsymbol{94}} | \boxed{\text{\textbf{94}}} | "
        r"\boxed{94 {\rm million}} | \boxed{\color{red}{94}} | \boxed{{94}\text{ million}} | "
        r"\boxed{94\hspace{2pt}\text{million}} | \boxed{\simeq 94} | \boxed{\ 94\ } | "
        r"\[ x = 94 \] | "
        r"$x = 94$ | \(\text{Change} = \$94\) | \boxed{\left(5829 - 5735\right) = 94}",
        r"\boxed{\overline{94}} | \boxed{\sqrt{94}} | \boxed{\textbf{9}^{4}} | \boxed{\not 94} | "
        r"\boxed{9\textbf{4}\,5} | \boxed{\textcolor{red}{93}94} | \(9\)\(4\) | $93 = 94$ | "
        r"\boxed{\text{93 or }94} | \boxed{\cancel{94}} | \boxed{94_{2}} | \boxed{93 \\ 94} | "
        r"\boxed{\mathbf{-}94} | \boxed{94\,{\rm billion}} | \boxed{\gtrsim 94} | "
        r"\boxed{3\frac{1}{2}94}",
    ),
    Row("12.5", PERCENT, r"$r = 12.5\%$ | \[ r \approx 12.5\% \]", r"$r = 13\%$ | $r > 12.5\%$"),
    Row("€94", UNKNOWN, "$x = 94$", r"$94 | \$94 | $x = \$94$"),
    Row("1/3", UNKNOWN, r"\frac13 | \boxed{\cfrac{1}{3}}", r"\frac31 | 2\frac13 | \frac{1}{3}3"),
    Row(
        "B",
        UNKNOWN,
        r"\boxed{\rm B} | \boxed{\,B\,} | \boxed{~B~} | \boxed{\mathbf{B.}\ \text{Increase}}",
        r"\boxed{A\,B} | \boxed{\neg B} | \boxed{\overline{B}} | \boxed{\text{A or }\textbf{B}}",
    ),
    Row("AC", UNKNOWN, r"\boxed{A,\ C} | \boxed{\{A, C\}} | \boxed{A \& C}", r"\boxed{A,\ B,\ C}"),
    Row("net income", UNKNOWN, r"\boxed{\textit{Net income}}", r"\boxed{\neg\text{net income}}"),
    Row("December 31, 2019", UNKNOWN, r"\boxed{December\ 31,\ 2019}", r"\boxed{December\ 2019}"),
    Row(
        ["4.1", "4.6"],
        MILLION,
        r"\boxed{\left\{4.1,\,4.6\right\}} | \boxed{4.1 \\ 4.6}",
        r"\boxed{4.1 \\ 4.6 \\ 4.7} | \boxed{4.1\,4.6}",
    ),
)


@pytest.mark.parametrize(("row", "reply", "accepted"), replies_of(AROUND_A_BOX + TYPOGRAPHY))
def test_answer_in_latex(row: Row, reply: str, accepted: bool) -> None:
    row.check(reply, accepted)


def test_plain_keeps_what_carries_mathematics() -> None:
    kept = (r"\frac{1}{2}", r"x^{10}", r"a_{1}", r"\sqrt{2}", r"\unknown{94}{95}", "a { b", "a } b")
    for text in kept:
        assert plain(text) == text
    assert plain(r"\(\text{Change} = \$94\,\mathrm{million}\)").strip() == "Change = $94 million"
    assert plain("$5,829-$5,735 is $94") == "$5,829-$5,735 is $94"


def test_balanced_braces() -> None:
    assert balanced("a{b}c}d", 0) == "a{b}c"
    assert balanced("a{b}c", 0) == ""
