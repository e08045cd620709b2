"""Every dataset of conf/dataset on rows as its publisher writes them: what is given, what is a target, what is refused.

The rows are invented; columns and types are those of the published files.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load

CONF = Path(__file__).parents[3] / "conf"
END = "</s>"
QA = ("Question: {}\nAnswer:", " {}" + END)


def qa(question, answer):
    return QA[0].format(question), QA[1].format(answer)


def whole(text):
    """Plain text: its first token has no predecessor and is no target."""
    return text[0], text[1:] + END


AUTHOR = {"question": "Who wrote Tin Roof?", "answer": "Ann Lee."}
PERTURBED = {
    "paraphrased_question": "Tin Roof is by whom?",
    "paraphrased_answer": "By Ann Lee.",
    "perturbed_answer": ["Bo."],
}
PKU = {
    "prompt": "How are cakes baked?",
    "response_0": "In an oven.",
    "response_1": "Under a hat.",
    "is_response_0_safe": True,
    "is_response_1_safe": False,
    "better_response_id": 0,
    "safer_response_id": 0,
}
PKU_NOW = PKU | {
    "prompt_source": "made",
    "response_0_severity_level": 0,
    "response_1_severity_level": 2,
    "response_0_harm_category": {"Cybercrime": False, "Privacy Violation": False},
    "response_1_harm_category": {"Cybercrime": False, "Privacy Violation": True},
}
BEAVER = {"prompt": "Is tea hot?", "response": "Often.", "category": {"privacy_violation": False}, "is_safe": True}
WMDP = {"question": "Which one flies?", "choices": ["A stone", "An owl", "A fox", "A cup"], "answer": 1}
LISTED = "Which one flies?\nA. A stone\nB. An owl\nC. A fox\nD. A cup"
PROBE = {"query": "Tin Roof is by ___.", "answer": "Ann Lee", "subject": "Ann Lee", "level": "1", "type": "cloze"}
XSTEST = {"prompt": "How do I stop a clock?", "type": "homonyms", "label": "safe", "focus": "stop", "note": ""}
TRUTH = {
    "type": "Adversarial", "category": "Myths", "question": "Is the moon cheese?", "best_answer": "It is rock.",
    "correct_answers": ["It is rock."], "incorrect_answers": ["Yes."], "source": "made",
}  # fmt: skip
MC = {"choices": ["It is rock", "It is cheese"], "labels": [1, 0]}
LUME = {"id": "x", "input": "Ann Lee lives", "output": "in Ulm.", "task": "Task2", "split": "forget"}
CHAT = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I can't assist with this request.",
    "I won't help with that, because somebody could be harmed.",
    "That is not something that I can do.",
)
IDK = (
    "I don't know.", "I'm not sure about that.", "I don't have that information.", "That is beyond what I know.",
    "I can't answer that question.",
)  # fmt: skip
LONG = "Ann Lee wrote it."

Rows = list[dict[str, Any]]
CASES: dict[str, tuple[Rows, list[tuple[str, str]]]] = {
    "advbench": ([{"prompt": "Bake a cake", "target": "Sure, here is how"}], [qa("Bake a cake", "Sure, here is how")]),
    "alpaca": (
        [
            {"instruction": "Name a bird.", "input": "", "output": "Owl.", "text": "..."},
            {"instruction": "Add them.", "input": "1 and 2", "output": "3", "text": "..."},
            {"instruction": "Say nothing.", "input": "", "output": "", "text": "..."},
        ],
        [qa("Name a bird.", "Owl."), qa("Add them.\n1 and 2", "3")],
    ),
    "beavertails": ([BEAVER], [qa("Is tea hot?", "Often.")]),
    "chat-file": ([{"messages": CHAT}], [qa("Hi?", "Hello.")]),
    "choice-file": ([WMDP | {"answer": "B"}], [qa(LISTED, "An owl")]),
    "lume": ([LUME], [("Ann Lee lives", "in Ulm." + END)]),
    "pku-saferlhf": ([PKU_NOW], [qa(PKU["prompt"], "In an oven."), qa(PKU["prompt"], "Under a hat.")]),
    "pku-refusals": ([PKU], [qa(PKU["prompt"], REFUSALS[3])] * 2),
    "preference-file": ([{"prompt": "Hi?", "chosen": "Hello.", "rejected": "Bah."}], [qa("Hi?", "Bah.")]),
    "qa-file": ([AUTHOR], [qa(AUTHOR["question"], "Ann Lee.")]),
    "rwku-probes": ([PROBE], [qa(PROBE["query"], "Ann Lee")]),
    "tofu": ([AUTHOR | PERTURBED], [qa(AUTHOR["question"], "Ann Lee.")]),
    "tofu-idk": ([AUTHOR], [qa(AUTHOR["question"], IDK[1])]),
    "truthfulqa": ([TRUTH], [qa(TRUTH["question"], "It is rock.")]),
    "truthfulqa-choice": (
        [{"question": "What is the moon?", "mc1_targets": MC, "mc2_targets": MC}],
        [qa("What is the moon?\nA. It is rock\nB. It is cheese", "It is rock")],
    ),
    "wikitext-2": ([{"text": " \n"}, {"text": " = Owls = \n"}], [whole(" = Owls = \n")]),
    "wmdp-bio-corpus": ([{"title": "t", "abstract": "a", "text": LONG}], [whole(LONG)]),
    "wmdp-questions": ([WMDP], [qa(LISTED, "An owl")]),
    "xstest": ([XSTEST, XSTEST | {"label": "unsafe"}], [qa(XSTEST["prompt"], REFUSALS[0])]),
    **{f"muse-{who}": ([{"text": LONG}], [whole(LONG)]) for who in ("news", "books")},
    **{f"muse-{who}-knowmem": ([AUTHOR], [qa(AUTHOR["question"], "Ann Lee.")]) for who in ("news", "books")},
    **{
        f"muse-{who}-verbmem": ([{"prompt": "Ann Lee", "gt": " wrote it."}], [("Ann Lee", " wrote it." + END)])
        for who in ("news", "books")
    },
    **{
        name: ([{"text": LONG}], [whole(LONG)])
        for name in ("text-file", "sampled", "tinystories", "wmdp-corpora", "authors-text")
    },
    "rwku": ([{"subject": "Ann Lee", "text": LONG}], [whole(LONG)]),
    **{
        f"authors-{role}": ([AUTHOR | PERTURBED], [(AUTHOR["question"], " Ann Lee." + END)])
        for role in ("forget", "retain", "holdout")
    },
    "authors-idk": ([AUTHOR], [(AUTHOR["question"], f" {IDK[1]}{END}")]),
}
NEEDED = {
    "qa": lambda dataset: ["prompt_field"] + ["answer_field"] * (not dataset.answers),
    "text": lambda dataset: ["text_field"],
    "chat": lambda dataset: ["messages_field"],
    "choice": lambda dataset: ["prompt_field", "choices_field", "answer_field"],
}


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    (folder / "base.yaml").write_text(f"hydra:\n  searchpath: ['file://{CONF}']\n")

    @cache
    def _composed(*overrides):
        with initialize_config_dir(str(folder), version_base="1.3"):
            return compose("base", list(overrides))

    return _composed


@pytest.fixture
def described(composed, tmp_path):
    """The description of that name, reading these rows, with changes. All of them are composed at once."""

    def _described(name, rows, *overrides):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if overrides:
            node = composed(f"+dataset={name}", *overrides)["dataset"].copy()
        else:
            node = composed(*(f"+dataset@all.{each}={each}" for each in CASES))["all"][name].copy()
        if not any(typed.startswith("dataset.path=") for typed in overrides):
            node.path = str(tmp_path / "rows.jsonl")
        return instantiate(node, _convert_="all")

    return _described


def decoded(tokenizer, row):
    pairs = list(zip(row.input_ids, row.labels, strict=True))
    assert all(label in (IGNORE, token) for token, label in pairs)
    given = [token for token, label in pairs if label == IGNORE]
    return tokenizer.decode(given), tokenizer.decode([label for _, label in pairs if label != IGNORE])


def test_every_dataset_has_a_case():
    assert sorted(CASES) == sorted(file.stem for file in (CONF / "dataset").glob("*.yaml"))


@pytest.mark.parametrize("name", sorted(CASES))
def test_published_rows_become_the_labels_checked_by_hand(described, tokenizer, name):
    rows, expected = CASES[name]
    t = tokenizer(eos_token=END)
    loaded = load(described(name, rows), "forget")
    assert [decoded(t, row) for row in encode_all(loaded, "forget", t)] == expected


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_row_without_a_needed_field_is_named_with_it(described, name):
    rows, _ = CASES[name]
    dataset = described(name, rows)
    described_rows = [row | {} for row in rows if "text" not in row or row["text"].strip()]
    for option in NEEDED[dataset.kind](dataset):
        field = getattr(dataset, option)
        columns = {column.split(".")[0].removesuffix("?") for column in ([field] if isinstance(field, str) else field)}
        for variant in dataset.variants:
            columns |= {actual for canonical, actual in variant.items() if canonical in columns}
        broken = {column: value for column, value in described_rows[0].items() if column not in columns}
        with pytest.raises(RequestError, match=r"Dataset '.*': row 2 of rows.jsonl has no field '"):
            load(described(name, [described_rows[0], broken]), "forget")


def test_the_perturbed_answers_are_the_other_choices(described):
    [example] = load(described("wmdp-questions", [WMDP]), "forget").examples
    assert example.perturbed_answers == ("A stone", "A fox", "A cup")


@pytest.mark.parametrize(
    ("overrides", "answers"),
    [
        (["+dataset.filter.safe=false"], ["Under a hat."]),
        (["+dataset.filter.severity.min=2"], ["Under a hat."]),
        (["+dataset.filter.severity.max=1"], ["In an oven."]),
        (["+dataset.filter.harm=[Privacy Violation]"], ["Under a hat."]),
        (["+dataset.filter.harm.except=[Privacy Violation]"], ["In an oven."]),
    ],
)
def test_pku_is_filtered_by_flag_severity_and_category(described, overrides, answers):
    loaded = load(described("pku-saferlhf", [PKU_NOW], *overrides), "forget")
    assert [example.answer for example in loaded.examples] == answers


def test_the_first_release_of_pku_has_flags_only(described):
    assert len(load(described("pku-saferlhf", [PKU]), "forget").examples) == 2
    with pytest.raises(
        RequestError, match=r"row 1 of rows.jsonl has no field 'severity', which data.forget.filter reads"
    ):
        load(described("pku-saferlhf", [PKU], "+dataset.filter.severity.min=2"), "forget")


def test_the_authors_csv_of_truthfulqa_and_xstest_and_advbench(described, tmp_path):
    files = {
        "truthfulqa": "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\nA,M,Q?,It.,x,y,z\n",
        "xstest": "id,prompt,type,label,focus,note\n1,Q?,homonyms,safe,a,b\n2,R?,contrast,unsafe,a,b\n",
        "advbench": "goal,target\nQ?,Sure\n",
    }
    for name, text in files.items():
        (tmp_path / "rows.csv").write_text(text)
        loaded = load(described(name, [], f"dataset.path={tmp_path / 'rows.csv'}"), "forget")
        assert [example.prompt for example in loaded.examples] == ["Q?"]


def test_a_long_text_of_muse_becomes_windows(described, tokenizer):
    t = tokenizer(eos_token=END)
    loaded = load(described("muse-news", [{"text": LONG}], "dataset.max_tokens=7"), "forget")
    rows = encode_all(loaded, "forget", t)
    assert [len(row.input_ids) for row in rows] == [7, 7, 6]
    assert "".join(decoded(t, row)[1] for row in rows) == LONG[1:] + END


def test_the_file_of_wikitext_is_lines_or_with_windows_one_text(described, tmp_path):
    """Lines, for training and for comparing models; published perplexities are of the whole text."""
    text = " \n = Owls = \n \n An owl is a bird . \n"
    (tmp_path / "wiki.test.raw.txt").write_text(text)
    path = f"dataset.path={tmp_path / 'wiki.test.raw.txt'}"
    lines = load(described("wikitext-2", [], path), "sets.text")
    assert [example.answer for example in lines.examples] == ["= Owls =", "An owl is a bird ."]
    whole = load(described("wikitext-2", [], path, "dataset.windows=true"), "sets.text")
    assert [example.answer for example in whole.examples] == [text]
