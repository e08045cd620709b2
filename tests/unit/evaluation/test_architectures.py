"""Sixteen architectures under chat templates of many shapes: the same numbers and words as from transformers alone.

What is right is written with torch, transformers and the texts of tests/support/chat_shapes.py: no code of ours.
"""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from mollm_cli.core.types import IGNORE, Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.scoring import score
from mollm_cli.evaluation.suite import Suite
from mollm_cli.models.load_model import load_model
from mollm_cli.models.model_settings import Model
from mollm_cli.models.save import save_checkpoint
from tests.support.architectures import ARCHITECTURES, architecture
from tests.support.chat_shapes import ANSWER, QUESTION, SHAPES, folder, shaped

SPEAKS = {
    "llama": ("headed", "brackets with a gap"),
    "mistral": ("brackets", "zephyr"),
    "mixtral": ("brackets", "between turns"),
    "qwen2": ("chatml with rules of its own", "a word"),
    "qwen3": ("thinks", "thinks, told not to"),
    "qwen3-moe": ("thinks, told not to", "reasons"),
    "phi3": ("tailed", "listed"),
    "gemma2": ("no system, alternating", "plain"),
    "gemma3": ("no system, alternating", "dated"),
    "gpt2": ("plain", "chatml on a base model"),
    "opt": ("a word", "heads that are named"),
    "gpt-neox": ("zephyr", "heads alone", "an end that is text"),
    "falcon-h1": ("chatml on a base model", "channels"),
    "mamba": ("deep", "unthought"),
    "granite": ("dated", "turns"),
    "cohere": ("turns", "headed"),
}
"""The templates that each architecture is tried with; the first of them always, the other in the slow lane."""
ROWS = (
    ("Who?", "An x."),
    ("Is it 12:30 or so?", "no"),
    ("é", "Ja,  gut"),
    ("a b c d e f g h i j", "x"),
    ("Zoë?", "Ö!"),
)
LONGEST = 24
SPARE = 4
"""Tokens that transformers adds by itself under the name of a family, Qwen2 one."""
TOLERANCE = 3e-6
TRIED = [
    pytest.param(name, each, marks=[pytest.mark.slow] if place else [], id=f"{name}, {each}")
    for name, shapes in SPEAKS.items()
    for place, each in enumerate(shapes)
]


def test_every_architecture_and_every_shape_is_tried():
    assert SPEAKS.keys() == ARCHITECTURES.keys()
    assert {shape for shapes in SPEAKS.values() for shape in shapes} == SHAPES.keys()


class Right:
    """The numbers and words of a model folder, by transformers alone, one row at a time and without a cache."""

    def __init__(self, path, shape):
        self.tokenizer, self.model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path)
        self.shape = shape
        ends = {self.tokenizer.eos_token, *shape.named, shape.end or self.tokenizer.eos_token}
        self.stops = self.tokenizer.convert_tokens_to_ids(sorted(ends))

    def parts(self, question, answer):
        """The ids that are given, and those that are targets."""
        texts = (self.shape.given.replace(QUESTION, question), self.shape.target.replace(ANSWER, answer))
        return [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]

    @torch.no_grad()
    def log_probs(self, question, answer):
        given, target = self.parts(question, answer)
        found = self.model(torch.tensor([given + target])).logits[0].double().log_softmax(-1)
        return [found[len(given) + place - 1, token].item() for place, token in enumerate(target)]

    @torch.no_grad()
    def greedy(self, question):
        """The likeliest tokens in turn, up to a stop; whether one came."""
        ids, new = self.parts(question, "")[0], []
        for _ in range(LONGEST):
            new.append(self.model(torch.tensor([ids + new])).logits[0, -1].argmax().item())
            if new[-1] in self.stops:
                return new, True
        return new, False

    def said(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.fixture
def right(tmp_path):
    """A model folder of an architecture and a template; its end tokens are likely ones, so that some answers end."""

    def make(name, shape):
        tokenizer = shaped(shape)
        model = architecture(name, len(tokenizer) + SPARE)
        ends = tokenizer.convert_tokens_to_ids([shape.end or tokenizer.eos_token])
        with torch.no_grad():
            model.get_output_embeddings().weight[ends] *= 3.0
        return Right(folder(shape, model, tmp_path / "start"), shape)

    return make


@pytest.mark.parametrize(("name", "template"), TRIED)
def test_targets_probabilities_and_words_are_those_of_transformers(name, template, right, tmp_path):
    shape = SHAPES[template]
    expected = right(name, shape)
    loaded = load_model(Model(str(tmp_path / "start"), template_options=dict(shape.options)), 0)
    encoder = Encoder(loaded.tokenizer)
    rows = Loaded(
        Dataset("d", path="unread", prompt_field="q", answer_field="a"),
        [Example(f"d:{place}", *row) for place, row in enumerate(ROWS)],
        {},
    )
    for row in rows.examples:
        encoded = encoder.encode(row, "auto", 500)
        given, target = expected.parts(row.prompt, row.answer)
        assert list(encoded.input_ids) == given + target
        assert list(encoded.labels) == [IGNORE] * len(given) + target
    words = [expected.greedy(question)[0] for question, _ in ROWS]
    for batch_size in (1, len(ROWS)):
        suite = Suite({}, generate_tokens=LONGEST, batch_size=batch_size)
        found = score(loaded.model, encoder, "forget", rows, suite, frozenset({"generation"}), Clock())
        for scored, row, said in zip(found, ROWS, words, strict=True):
            log_probs = expected.log_probs(*row)
            assert scored.log_probs == pytest.approx(log_probs, abs=1e-4)
            probability = math.exp(sum(log_probs) / len(log_probs))
            assert math.exp(scored.answer_log_prob) == pytest.approx(probability, abs=TOLERANCE)
            assert scored.generation == expected.said([token for token in said if token not in expected.stops])
    _checkpoint_stops(loaded, encoder, expected, words, tmp_path / "checkpoint")


def _checkpoint_stops(loaded, encoder, expected, words, place):
    """A plain ``generate`` on what was saved says the same, and stops at the same token."""
    save_checkpoint(loaded, place, encoder.end_ids)
    assert set(GenerationConfig.from_pretrained(place).eos_token_id) == set(expected.stops)
    model = AutoModelForCausalLM.from_pretrained(place)
    for (question, _), said in zip(ROWS, words, strict=True):
        ids = torch.tensor([expected.parts(question, "")[0]])
        new = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=LONGEST, do_sample=False)
        assert new[0, ids.shape[1] :].tolist() == said
