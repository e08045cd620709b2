"""The sets that rewrites make, as they become tokens."""

from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.evaluation.attacks.jailbreak import Jailbreak
from mollm_cli.evaluation.attacks.multi_turn import MultiTurn
from mollm_cli.evaluation.attacks.paraphrase import Paraphrase
from mollm_cli.evaluation.attacks.prefix import Prefix
from mollm_cli.evaluation.attacks.quantisation import Quantisation
from mollm_cli.evaluation.attacks.rewriting import check_context, rewritten
from mollm_cli.evaluation.attacks.system_prompt import SystemPrompt
from mollm_cli.evaluation.attacks.template import Template

CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FORGET = [Example(f"f/{i}", "Who?", "It was her.", paraphrased_question="Which?" if i % 2 else None) for i in range(6)]
HOLDOUT = [Example(f"h/{i}", "When?", "It was then.") for i in range(3)]
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT


def named(*attacks):
    return {attack.name: attack for attack in attacks}


def texts(loaded, tokenizer):
    """(given, target) of the first row as text."""
    row = encode_all(loaded, "forget", tokenizer)[0]
    given = sum(label == -100 for label in row.labels)
    return tokenizer.decode(row.input_ids[:given]), tokenizer.decode(row.input_ids[given:])


def test_names_roles_and_limits(rows, tokenizer):
    attacks = named(Paraphrase(), Quantisation(), Prefix())
    sets = {"forget": rows(*FORGET), "holdout": rows(*HOLDOUT), "retain": rows(*HOLDOUT)}
    made = rewritten(attacks, sets, 2, True, tokenizer())
    assert {name: [example.id for example in loaded.examples] for name, loaded in made.items()} == {
        "attack_paraphrase": ["f/1", "f/3"],  # the first two that it fits
        "attack_prefix": ["f/0", "f/1"],
        "attack_prefix_holdout": ["h/0", "h/1"],
    }
    assert all(loaded.fingerprint["rows"] == 2 for loaded in made.values())
    assert list(rewritten(attacks, sets, None, False, tokenizer())) == ["attack_paraphrase", "attack_prefix"]
    assert rewritten(attacks, {"retain": sets["retain"]}, None, True, tokenizer()) == {}


def test_what_does_not_fit_is_left_out_and_said(rows, tokenizer, capsys):
    made = rewritten(named(Paraphrase()), {"forget": rows(*HOLDOUT), "holdout": rows(*FORGET)}, None, True, tokenizer())
    assert made == {}
    assert capsys.readouterr().err == (
        "attack paraphrase is left out: data.forget has no row for it "
        "(each row's question in other words, as the dataset has them)\n"
    )


def test_a_chat_template_that_takes_no_system_prompt_leaves_the_attack_out(rows, tokenizer, capsys):
    sets = {"forget": rows(*FORGET, template="auto")}
    made = rewritten(named(SystemPrompt("Be."), MultiTurn("Q0", "A0")), sets, None, False, tokenizer(STRICT))
    assert list(made) == ["attack_multi_turn"]
    err = capsys.readouterr().err
    assert err.startswith("attack system_prompt is left out: data.forget: the tokenizer's chat template must take")
    assert "no system role" in err


@pytest.mark.parametrize(
    ("attack", "plain", "chat"),
    [
        (Template("Q: {prompt}\nA: "), "Q: Who?\nA:", "Q: Who?\nA:"),
        (SystemPrompt("Be."), "Be.\n\nQ Who? A", "<|system|>Be.<|end|>\n<|user|>Who?<|end|>\n<|assistant|>"),
        (
            MultiTurn("Q0", "A0"),
            "Q Q0 A A0\n\nQ Who? A",
            "<|user|>Q0<|end|>\n<|assistant|>A0<|end|>\n<|user|>Who?<|end|>\n<|assistant|>",
        ),
        (Jailbreak(["Say: {prompt}"]), "Q Say: Who? A", "<|user|>Say: Who?<|end|>\n<|assistant|>"),
        (Prefix(0.5), "Q Who? A It was", "<|user|>Who?<|end|>\n<|assistant|>It was"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_the_model_reads(attack, plain, chat, rows, tokenizer):
    answer = " her." if attack.name == "prefix" else " It was her."
    made = rewritten({"a": attack}, {"forget": rows(FORGET[0])}, None, False, tokenizer())
    assert texts(made[f"attack_{attack.name}"], tokenizer()) == (plain, f"{answer}</s>")
    sets = {"forget": rows(FORGET[0], template="auto")}
    [made_in_chat] = rewritten({"a": attack}, sets, None, False, tokenizer(CHAT)).values()
    given, target = texts(made_in_chat, tokenizer(CHAT))
    assert given == chat
    end = "</s>" if attack.name == "template" else "<|end|>"
    assert target == (answer if given[-1] != ">" else answer.lstrip()) + end


def test_a_begun_answer_and_its_rest_are_the_whole_answer(rows, tokenizer):
    """Token by token what the row would be without the attack; only what is a target differs."""
    for chat, template in ((None, "Q {prompt} A "), (CHAT, "auto")):
        loaded = rows(*FORGET, Example("f/9", "Who?", " It was not me."), template=template)
        made = rewritten(named(Prefix(0.5)), {"forget": loaded}, None, False, tokenizer(chat))["attack_prefix"]
        for new, old in zip(
            encode_all(made, "forget", tokenizer(chat)), encode_all(loaded, "forget", tokenizer(chat)), strict=True
        ):
            assert new.input_ids == old.input_ids
            assert 0 < new.targets < old.targets


def test_an_answer_is_cut_no_shorter_than_it_was(rows, tokenizer):
    t = tokenizer()
    loaded = rows(Example("f/1", "Who?", "x" * 100), Example("f/2", "Who is it?", "y" * 5), max_tokens=30)
    [before, _] = encode_all(loaded, "forget", t)
    made = rewritten(named(Jailbreak(["z" * 40 + "{prompt}"])), {"forget": loaded}, None, False, t)["attack_jailbreak"]
    [after, _] = encode_all(made, "forget", t)
    assert made.dataset.max_tokens == 70
    assert (before.targets, after.targets) == (22, 22)  # 30 less the 8 bytes of "Q Who? A"
    assert len(after.input_ids) == 70
    shorter = rewritten(named(Template("{prompt}")), {"forget": loaded}, None, False, t)["attack_template"]
    assert shorter.dataset.max_tokens == 30


def test_rows_beyond_the_context_are_refused(rows, tokenizer):
    t = tokenizer()
    made = rewritten(named(Prefix(0.5)), {"forget": rows(*FORGET), "holdout": rows(*HOLDOUT)}, None, True, t)
    longest = max(len(row.input_ids) for loaded in made.values() for row in encode_all(loaded, "forget", t))
    check_context(made, t, longest)
    check_context(made, t, None)
    with pytest.raises(
        RequestError, match=r"attacks.prefix must fit into the model's context of \d+ tokens, found"
    ) as e:
        check_context(made, t, longest - 1)
    assert "in row 'h/0'" in str(e.value)
    assert str(e.value).endswith("Leave it out: '~evaluation.attacks.prefix'")


def test_generations_of_a_begun_answer_start_where_it_ends(rows, tokenizer):
    t = tokenizer(CHAT)
    [row] = Prefix(0.5).rewrite(rows(FORGET[0], template="auto")).examples
    ids = Encoder(t).prompt_ids(row.prompt, "auto")
    assert t.decode(ids) == "<|user|>Who?<|end|>\n<|assistant|>It was"
