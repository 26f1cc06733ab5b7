# SPDX-License-Identifier: Apache-2.0
"""report.html: shows what report.json says, and nothing else."""

from __future__ import annotations

import copy
import importlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.collection.samples import NASTY, PASSED, SAMPLES, assembled

page = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.page")

#: Elements without an end, or whose end tells nothing.
VOID = {"meta", "rect", "line", "circle", "polyline"}
#: Everything that a page is made of.
ELEMENTS = VOID | {
    "html",
    "head",
    "title",
    "style",
    "body",
    "header",
    "main",
    "section",
    "footer",
    "h1",
    "h2",
    "p",
    "b",
    "i",
    "strong",
    "span",
    "div",
    "dl",
    "dt",
    "dd",
    "ol",
    "li",
    "figure",
    "figcaption",
    "table",
    "tr",
    "th",
    "td",
    "data",
    "details",
    "summary",
    "pre",
    "svg",
    "text",
}
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


class Page(HTMLParser):
    """A page as a browser reads it: its elements with their attributes, and what is written in each kind of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[tuple[str, str, str]] = []
        self.bars: list[tuple[str, str]] = []
        self.prose = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """The innermost one ends."""
        if tag not in VOID:
            assert tag == self._open.pop()[0]

    def handle_data(self, data: str) -> None:
        """Something is written."""
        inside = [tag for tag, _attributes in self._open]
        if inside and inside[-1] == "data":
            attributes = self._open[-1][1]
            self.data.append((attributes["title"] or "", attributes["value"] or "", data))
        elif inside and inside[-1] == "title" and "svg" in inside:
            self.bars.append((str(self.elements[-2][1]["class"]), data))
        elif not {"style", "svg"} & set(inside):
            self.prose += f"{data} "


def rendered(report: dict[str, Any]) -> Page:
    """The page of *report* as a browser reads it."""
    return Page(page.render(report))


def at(report: Any, place: str) -> Any:
    """What stands at *place* in *report*; no name there has a dot in it."""
    for step in place.split("."):
        report = report[int(step)] if isinstance(report, list) else (report or {}).get(step)
    return report


def read(text: str, exact: Any) -> Any:
    """What a person takes *text* for, when *exact* is meant."""
    if isinstance(exact, list):
        return [read(part, value) for part, value in zip(text.split(" / "), exact, strict=True)] if exact else text
    if exact is None or isinstance(exact, (bool, str)):
        return {"–": None, "yes": True, "no": False}.get(text, text)
    number = text.replace(",", "").removesuffix("%")
    return float(number) / (100 if text.endswith("%") else 1)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "hostile"])
def test_every_figure_is_the_one_in_the_json(name: str) -> None:
    """Each is written as exactly as it is read, says where it stands, and no other number is on the page."""
    report = SAMPLES[name]
    seen = rendered(report)
    for place, value, text in seen.data:
        exact = at(report, place)
        assert json.loads(value) == exact, place
        if place.endswith(".at_ms") and exact is not None:
            assert page.moment(exact) == text
        elif isinstance(exact, (int, float, list)):
            assert read(text, exact) == pytest.approx(exact, abs=0.0006), place
        else:
            assert read(text, exact) == exact, place
    told = set(NUMBER.findall(json.dumps(report))) | {f"{sum(phase['seconds'] for phase in report['phases']):.2f}"}
    loose = set(NUMBER.findall(seen.prose)) - told
    assert {"0"} >= loose, loose


def test_nothing_that_was_measured_is_left_out() -> None:
    """Every number of every criterion, every count of before and after, every state of the drill and every phase."""
    places = {place for place, _value, _text in rendered(PASSED).data}
    for number, criterion in enumerate(PASSED["criteria"]):
        assert {f"criteria.{number}.numbers.{name}" for name in criterion["numbers"]} <= places
    counted = ("signals", "eligible", "intents", "publish_ratio", "dedup_keys", "governor.count", "execution.lag")
    for side in ("before", "after"):
        assert {f"{side}.{name}" for name in (*counted, "capacity.open_orders", "service.restarts")} <= places
        assert {f"{side}.events.{name}" for name in PASSED[side]["events"]} <= places
    assert {f"after.rejects.{code}" for code in PASSED["after"]["rejects"]} <= places
    assert {f"phases.{number}.seconds" for number in range(len(PASSED["phases"]))} <= places
    assert {f"drill.states.{number}.seen" for number in range(len(PASSED["drill"]["states"]))} <= places


def test_the_bars_are_the_counts_of_the_json() -> None:
    """Each count of signals and intents is a bar that says it, before and after the activation."""
    bars = rendered(PASSED).bars
    for kind in ("signals", "intents"):
        expected = [count for side in ("before", "after") for count in PASSED[side]["pace"][kind] if count]
        assert expected == [int(said.split()[0]) for name, said in bars if name == kind]
    assert "13 signals in 1 s at -81 s" == bars[0][1]


def test_what_others_wrote_is_text() -> None:
    """Markup, quotes, line breaks, escapes and marks of direction in any text of a report stay text."""
    html = page.render(SAMPLES["hostile"])
    seen = Page(html)
    assert {tag for tag, _attributes in seen.elements} <= ELEMENTS
    names = {name for _tag, attributes in seen.elements for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in {"src", "href", "style"}]
    assert "<script>alert(1)</script>" in seen.prose
    assert all(c.isprintable() or c == "\n" for c in html)


def test_hostile_names_are_text_too() -> None:
    """An event, a reason code, a name of a number and a criterion that somebody else named."""
    report = copy.deepcopy(PASSED)
    report["criteria"][0] |= {"name": NASTY, "status": NASTY, "numbers": {NASTY: 1}}
    report["after"] |= {"events": {NASTY: 1}, "rejects": {NASTY: 1}}
    report["versions"] = {NASTY: NASTY}
    html = page.render(report)
    assert {tag for tag, _attributes in Page(html).elements} <= ELEMENTS
    assert all(c.isprintable() or c == "\n" for c in html)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_stands_alone(name: str) -> None:
    """Nothing is fetched, nothing is run, and the page itself forbids both."""
    html = page.render(SAMPLES[name])
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert not re.search(r"url\(|@import|expression", style)


@pytest.mark.parametrize(
    ("name", "headline", "to_do"),
    [
        ("passed", "Proven and kept", "Nothing."),
        ("unchanged", "Runs already: nothing was changed", "Nothing."),
        ("failed", "Rolled back: what ran before runs again", "Read the criteria that failed"),
        ("held", "Waits for a person", "make confirm or make rollback"),
        ("undecided", "Rolled back: what ran before runs again", "Deploy again when signals flow"),
        ("confirmed", "Kept, although nobody knows", "make recon"),
        ("rollback failed", "Rollback failed", "sudo router-release status"),
        ("drill failed", "Refused: nothing live was touched", "Mend what the reason names"),
        ("refused", "Refused: nothing live was touched", "Mend what the reason names"),
    ],
)
def test_the_verdict_comes_first_with_what_to_do(name: str, headline: str, to_do: str) -> None:
    """Whatever became of a deployment, the page begins with it, its reason, and the way on."""
    found = page.outcome(SAMPLES[name])
    assert headline == found[0]
    assert to_do in found[1]
    seen = rendered(SAMPLES[name])
    reason = SAMPLES[name]["problems"][-1:] if name == "refused" else [SAMPLES[name]["reason"] or ""]
    for said in (*found, *reason):
        assert said in seen.prose


@pytest.mark.parametrize(
    ("facts", "headline", "to_do"),
    [
        ({"verdict": {"verdict": "pass"}, "capacity": {"created": True}}, "Proven and kept", "see that execution"),
        (
            {
                "failure": {"msg": "x"},
                "fleet": {"action": "rollback", "reason": "b: silent"},
                "rolled_back": {"changed": True},
            },
            "Rolled back",
            "Another host",
        ),
        ({"failure": {"msg": "x"}, "failed": "confirm"}, "Failed", "sudo router-release status"),
        ({"failure": {"msg": "x"}}, "Failed", "sudo router-release status"),
        ({"failure": {"msg": "x"}, "failed": "backup"}, "Refused", "Mend what"),
    ],
)
def test_what_to_do_follows_from_what_happened(facts: dict[str, Any], headline: str, to_do: str) -> None:
    """A created key, another host that failed, a failure once something was live, and one before that."""
    found = page.outcome(assembled(**facts))
    assert (True, True) == (found[0].startswith(headline), to_do in found[1])


EMPTY: dict[str, Any] = assembled()


@given(st.sets(st.sampled_from(sorted(EMPTY))))
def test_whatever_is_missing_there_is_a_page(missing: set[str]) -> None:
    """A deployment may end anywhere: any field may be as empty as it is in a report of nothing."""
    rendered(PASSED | {name: EMPTY[name] for name in missing})


def test_a_soak_without_redis_is_a_page() -> None:
    """Looks that know nothing leave gaps and dashes, and no count."""
    report = copy.deepcopy(PASSED)
    for look in report["after"]["looks"]:
        look |= {"open_orders": None, "in_flight": None, "execution": {"lag": None, "pending": None}}
    report["after"] |= {"publish_ratio": None, "pace": {"step_s": 1, "signals": [], "intents": []}}
    assert ("after.publish_ratio", "null", "–") in rendered(report).data


def test_a_time_beyond_all_calendars_is_a_number() -> None:
    """An intent of the year 33658 does not keep the report from being written."""
    report = copy.deepcopy(PASSED)
    report["criteria"][3]["numbers"]["at_ms"] = 10**15
    assert ("criteria.3.numbers.at_ms", "1000000000000000", "1,000,000,000,000,000") in rendered(report).data
    assert "2026-01-19 12:00:00 UTC" == page.moment("2026-01-19T12:00:00Z")


def test_the_difference_is_that_of_the_files() -> None:
    """Lines that are added and removed are told apart; of what is the same there is what is near, and else a mark."""
    change = {"before": "a\nb\n" + "x\n" * 9, "after": "a\nc\n" + "x\n" * 9 + "d\n"}
    near = [("same", " x")] * 3
    expected = [("same", " a"), ("removed", "-b"), ("added", "+c"), *near, ("place", "…"), *near, ("added", "+d")]
    assert expected == list(page.difference(change))
    assert [] == list(page.difference({"before": "a", "after": "a"}))
