import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.reporting.report import write_report

MakeRun = Callable[..., Path]
VOID = {"meta", "line", "path", "circle"}


class Page(HTMLParser):
    """Tags, attributes and text; refuses tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(run: Path) -> Page:
    target = write_report(run)
    assert target == run / "report.html"
    return Page(target.read_text(encoding="utf-8"))


def test_a_finished_run_has_every_section(make_run: MakeRun) -> None:
    page = read(make_run())
    assert "It forgot as far as the oracle, and kept the rest." in page.text
    titles = ("What was asked", "What changed", "The way there", "Examples", "Descent record", "Cost")
    for title in (*titles, "What was not tested", "To reproduce it"):
        assert title in page.text
    assert "went from 0.996 to 0.104; the oracle's is 0.104." in page.text
    charts = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg" and "aria-label" in attributes]
    assert len(charts) == 2 + 3 + 2 + 3  # the way; losses; weights and cosines; first-order changes
    assert "oracle at 0.104, 0.972" in str(charts[0])
    dashed = [a for tag, a in page.tags if tag == "path" and "dashed" in str(a["class"])]
    assert len(dashed) == 3 * 2  # the predictions, each with its legend


def test_it_is_one_file_that_asks_for_nothing(make_run: MakeRun) -> None:
    page = read(run := make_run())
    policy = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    html = (run / "report.html").read_text(encoding="utf-8")
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    own = f"style-src-elem 'sha256-{digest}'; style-src-attr 'unsafe-inline'"
    assert policy == [f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"]
    assert not [tag for tag, a in page.tags if tag in ("script", "link", "img", "iframe") or "src" in a or "href" in a]


def test_html_in_the_data_is_text(
    make_run: MakeRun,
    make_samples: Callable[..., Any],
    make_manifest: Callable[[], Any],
    make_lines: Callable[..., Any],
) -> None:
    evil = "<script>alert(1)</script>"
    samples = [row | {"prompt": evil, "answer": evil, "id": evil} for row in make_samples()]
    for row in samples:
        row["after"]["generation"] = evil
    manifest = make_manifest() | {"run_name": evil, "stopped_because": evil, "command": evil, "status": evil}
    lines = [line | {f"loss.{evil}": 1.0, "status": evil} for line in make_lines()]
    page = read(make_run(samples=samples, manifest=manifest, train=lines, config=f"run_name: {evil}\n"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(evil) >= 10


def test_control_characters_never_reach_the_page(make_run: MakeRun, make_samples: Callable[..., Any]) -> None:
    samples = [row | {"prompt": "a\x1b[31m\u202eb\ud800"} for row in make_samples()]
    text = write_report(make_run(samples=samples)).read_text(encoding="utf-8")
    assert r"a\x1b[31m\u202eb\ud800<" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)


def test_withheld_text_is_said_to_be_withheld(make_run: MakeRun, make_samples: Callable[..., Any]) -> None:
    page = read(make_run(samples=make_samples(text=False)))
    assert page.text.count("The text is withheld") == 2
    assert "evaluation.keep_text=true" in page.text
    assert "authors:forget:3" in page.text


def test_text_that_is_not_ordinary_is_folded(make_run: MakeRun, make_manifest: Callable[[], Any]) -> None:
    content = {"forget": "harmful", "retain": "ordinary"}
    page = read(make_run(manifest=make_manifest() | {"content": content}))
    assert [a.get("class") for tag, a in page.tags if tag == "details"].count("fold") == 1


def test_a_run_that_failed_tells_how_far_it_came(make_run: MakeRun, make_manifest: Callable[[], Any]) -> None:
    manifest = make_manifest() | {"status": "failed", "exit_code": 1, "stopped_because": "loss.a is not finite"}
    train = [{"step": 1, "loss.a": 1.0, "status": "fixed"}, {"step": 2, "loss.a": float("nan"), "status": "fixed"}]
    page = read(make_run(manifest=manifest, metrics=None, samples=None, train=train))
    assert "The run failed before anything was measured." in page.text
    assert "loss.a is not finite" in page.text
    assert "there is no metrics.json" in page.text
    assert "Steps in which an objective did not rise" not in page.text


def test_a_configuration_of_somebody_is_shown_without_what_looks_like_a_secret(make_run: MakeRun) -> None:
    run = make_run()
    with (run / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(f"url: https://me:applecart-7@h/x\nx: hf_{'a1B2' * 6}\n")
    page = write_report(run).read_text(encoding="utf-8")
    assert "url: https://***@h/x" in page and "applecart-7" not in page and "hf_a1B2" not in page


def test_a_directory_with_a_configuration_alone_has_a_page(make_run: MakeRun) -> None:
    page = read(make_run(manifest=None, metrics=None, samples=None, train=None))
    assert "No step was logged." in page.text


def test_without_an_oracle_nothing_is_called_closer(make_run: MakeRun, make_metrics: Callable[[], Any]) -> None:
    metrics = make_metrics() | {"before": None, "oracle": None, "yardstick": "none", "verdict": {}}
    page = read(make_run(metrics=metrics))
    assert "There is neither an oracle nor holdout rows" in page.text
    assert "closer" not in page.text.split("What changed")[1].split("The way there")[0].replace("the closer it", "")


def test_better_and_worse_are_told_by_words_too(make_run: MakeRun) -> None:
    page = read(make_run())
    for word in ("✓ closer", "≈ same", "✗ worse", "✓ better"):
        assert word in page.text


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds neither"):
        write_report(tmp_path)


def test_what_an_attacker_can_still_get(
    make_run: MakeRun, make_audit: Callable[[], Any], make_samples: Callable[..., Any]
) -> None:
    attacked = [row | {"set": "attack_paraphrase"} for row in make_samples() if row["set"] == "forget"]
    page = read(make_run(metrics=make_audit(), samples=[*make_samples(), *attacked]))
    section = page.text.split("What an attacker can still get")[1].split("The way there")[0]
    for words in ("✗ recovered", "✓ held", "0.660–0.810", "oracle, attacked alike", "cost: one pass", "judge lexicon"):
        assert words in section
    for words in ("Weights in fewer bits", "They never stand alone", "privacy leakage", "the first 20 rows of a set"):
        assert words in section
    charts = [str(a["aria-label"]) for tag, a in page.tags if tag == "svg" and "aria-label" in a]
    assert sum("relearning" in chart for chart in charts) == 2
    assert "✗ recovered by quantisation 4, relearning" in page.text
    assert "an attacker still gets it out" in page.text
    assert "under attack" in page.text.split("Examples")[1]
    untested = page.text.split("What was not tested")[1]
    assert "translation" in untested and "paraphrase" not in untested


def test_values_stand_with_their_intervals_beside_every_yardstick(
    make_run: MakeRun, make_audit: Callable[[], Any]
) -> None:
    page = read(make_run(metrics=make_audit()))
    changed = page.text.split("What changed")[1].split("What an attacker")[0]
    for words in ("0.071–0.142", "never seen", "0.150–0.260", "no power, D 0.120, n 32", "never-seen rows"):
        assert words in changed
    whiskers = [str(a["style"]) for tag, a in page.tags if tag == "i" and a.get("class") == "whisker"]
    assert "left:7.1%;width:7.1%" in whiskers
    quality = changed.split("forget quality")[1].replace("\n", " ")
    assert "✓" not in quality and "✗" not in quality


def test_an_over_forgotten_model_is_shown_as_such(make_run: MakeRun, make_metrics: Callable[[], Any]) -> None:
    metrics = make_metrics()
    metrics["verdict"]["forget"] = "over"
    metrics["after"] |= {"forget_probability": 1e-6, "forget_quality": 1e-30}
    page = read(make_run(metrics=metrics))
    assert "It forgot more than the oracle, but kept the rest." in page.text
    assert "is no success" in page.text and "forget quality is 1.0e-30" in page.text
    assert "✗ forgot more than the oracle" in page.text
    assert "↧ past it" in page.text.split("Forget: rows trained on")[1].split("Forget: rows never")[0]


def test_how_it_came_about_and_what_it_cost(make_run: MakeRun, make_manifest: Callable[[], Any]) -> None:
    manifest = make_manifest() | {
        "stopped_because": "forget_target",
        "selection": {"rule": "yardstick", "step": 45, "because": "the nearest"},
        "gates": [{"gate": "a<=1", "value": 2.0, "bound": 1.0, "held": False, "why": "2 is not <= 1"}],
        "lineage": [{"run": "first", "loss": "ga"}],
        "evaluation_seconds": {"teacher_forcing": 3.0, "generation": 12.0},
    }
    page = read(make_run(manifest=manifest))
    for words in ("It stopped because the forget target was reached.", "Kept: the weights after step 45", "✗ failed"):
        assert words in page.text
    for words in ("2 is not <= 1", "first, loss ga", "teacher forcing", "12.0 s"):
        assert words in page.text
    assert "width:25.0%" in [a.get("style") for tag, a in page.tags if tag == "i"]


def test_first_order_changes_from_sketches_are_called_estimates(
    make_run: MakeRun, make_lines: Callable[..., list[dict[str, Any]]]
) -> None:
    bare = [{k: v for k, v in line.items() if k != "correction" and "raw." not in k} for line in make_lines()]
    guessed = read(make_run(train=[line | {"first_order_error": 0.021} for line in bare])).text
    assert "estimates from sketches, to a standard error of 2.1 %" in guessed and "direction.gram=exact" in guessed
    exact = read(make_run(train=bare)).text
    assert "estimates" not in exact and "direction.guard=true" in exact


def test_an_audit_without_a_yardstick_has_no_tick_on_the_forget_side(
    make_run: MakeRun, make_audit: Callable[[], Any]
) -> None:
    metrics = make_audit() | {"oracle": None, "yardstick": "none"}
    metrics["verdict"] |= {"robustness": "held"}
    del metrics["before"]["holdout_probability"], metrics["before"]["holdout_rouge_l"]
    for entry in metrics["attacks"].values():
        entry["yardstick"] = None
    page = read(make_run(metrics=metrics))
    assert "✓ matched" not in page.text and "✓ held" not in page.text and "○ held" in page.text
    assert "no attack is judged" in page.text


def test_every_table_scrolls_inside_itself(make_run: MakeRun, make_audit: Callable[[], Any]) -> None:
    html = write_report(make_run(metrics=make_audit())).read_text(encoding="utf-8")
    tables = re.findall(r"(\S[^\n]*)\n?<table", html)
    assert tables and all('class="scroll"' in before for before in tables)


def test_a_number_of_some_rows_says_of_how_many(make_run: MakeRun, make_metrics: Callable[[], Any]) -> None:
    metrics = make_metrics() | {"rows": {"after": {"forget_rouge_l": [1, 4], "retain_rouge_l": [9, 9]}}}
    text = read(make_run(metrics=metrics)).text
    assert "ROUGE-L1 of 4 rows have a value" in text
    assert "Rows: forget 4, retain 9." in text
