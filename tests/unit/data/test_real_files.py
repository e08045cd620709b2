"""The published files, as they are."""

from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data.load_dataset import load
from mollm_cli.data.pairing import Pairing, load_roles

TOFU_ROWS = {
    "forget01": 40, "forget10": 400, "retain90": 3600, "holdout10": 400, "real_authors": 100, "world_facts": 117,
}  # fmt: skip
PERTURBED_ROWS = {
    "forget01": 40, "forget10": 400, "retain": 400, "real_authors": 100, "world_facts": 117,
}  # fmt: skip
VARIANTS = [{"answer": f"response_{i}", "safe": f"is_response_{i}_safe"} for i in (0, 1)]


@pytest.fixture
def pku(qa, shared):
    path = str(shared / "pku_saferlhf" / "pku_reconstructed_800.jsonl")
    return lambda safe: qa(
        path=path, prompt_field="prompt", variants=VARIANTS, filter={"safe": safe}, content="harmful"
    )


@pytest.mark.parametrize("name", TOFU_ROWS)
def test_tofu_in_both_shapes(qa, shared, name):
    assert len(load(qa(path=str(shared / "tofu" / f"{name}.json")), "forget").examples) == TOFU_ROWS[name]


@pytest.mark.parametrize("name", PERTURBED_ROWS)
def test_tofu_perturbed(qa, shared, name):
    loaded = load(
        qa(path=str(shared / "tofu" / f"{name}_perturbed.json"), perturbed_field="perturbed_answer"), "forget"
    )
    assert len(loaded.examples) == PERTURBED_ROWS[name]
    assert all(len(example.perturbed_answers) >= 3 for example in loaded.examples)


def test_tofu_rows_find_their_perturbed_answers(qa, shared):
    fields = {"perturbed_field": "perturbed_answer", "paraphrased_question_field": "paraphrased_question"}
    extra = str(shared / "tofu" / "forget10_perturbed.json")
    loaded = load(qa(path=str(shared / "tofu" / "forget10.json"), perturbed=extra, **fields), "forget")
    assert sum(len(e.perturbed_answers) == 5 and e.paraphrased_question is not None for e in loaded.examples) == 400


@pytest.mark.parametrize("safe", [True, False])
def test_pku_has_as_many_safe_as_unsafe_answers(pku, safe):
    assert len(load(pku(safe), "forget").examples) == 800


def test_pku_shares_rows_between_its_sides_and_carves_by_prompt(pku):
    with pytest.raises(RequestError, match=r"found 30 of the same prompt and answer"):
        load_roles(Pairing("p", pku(False), pku(True)), 0)
    loaded = load_roles(Pairing("p", pku(False), pku(True), drop_overlap=True), 0)
    prompts = {role: {e.prompt for e in found.examples} for role, found in loaded.items()}
    assert not prompts["forget"] & prompts["forget_test"]
    assert 80 <= len(loaded["forget_test"].examples) <= 90
    assert loaded["retain"].fingerprint["left_out"] == 30


def test_truthfulqa(qa, shared):
    path = str(shared / "truthfulqa" / "TruthfulQA.csv")
    described = qa(path=path, prompt_field=["question", "Question"], answer_field=["best_answer", "Best Answer"])
    assert len(load(described, "retain").examples) == 817


def test_tinystories_that_name_lily(text, shared):
    path = str(shared / "tinystories" / "tinystories.jsonl")
    lily, others = (text(path=path, filter={"text": {how: r"\bLily\b"}}) for how in ("matches", "not_matches"))
    assert len(load(lily, "forget").examples) == 320
    assert len(load(others, "retain").examples) == 1996


def test_wikitext(text, shared):
    loaded = load(text(path=str(shared / "wikitext2" / "test.txt")), "retain")
    assert len(loaded.examples) == 2891
    assert loaded.examples[0].id == "t:2"


def test_real_tokenizer(text, shared):
    from transformers import AutoTokenizer

    from mollm_cli.data.encoder import Encoder
    from mollm_cli.data.encoding import encode_all

    folder = shared.parent / "models" / "TinyStories-656K"
    if not folder.is_dir():
        pytest.skip(f"the real model is not at {folder}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    loaded = load(text(path=str(shared / "tinystories" / "tinystories.jsonl"), limit=20, max_tokens=200), "forget")
    for row in encode_all(loaded, "forget", tokenizer):
        assert row.input_ids[0] == tokenizer.bos_token_id
        assert len(row.input_ids) == 200 or row.input_ids[-1] == tokenizer.eos_token_id
        assert row.targets == len(row.input_ids) - 1
    assert Encoder(tokenizer).prompt_ids("", "auto") == [tokenizer.bos_token_id]
