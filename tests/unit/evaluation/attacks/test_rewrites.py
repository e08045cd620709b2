"""What each rewrite makes of a row."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from mollm_cli.core.types import Example
from mollm_cli.data.dialogue import Turn, as_prompt
from mollm_cli.evaluation.attacks.jailbreak import Jailbreak
from mollm_cli.evaluation.attacks.multi_turn import MultiTurn
from mollm_cli.evaluation.attacks.paraphrase import Paraphrase
from mollm_cli.evaluation.attacks.prefix import Prefix
from mollm_cli.evaluation.attacks.sampling import Sampling
from mollm_cli.evaluation.attacks.system_prompt import SystemPrompt
from mollm_cli.evaluation.attacks.template import Template

ONE = Example("d/1", "Who?", "It was her.", paraphrased_question="Which one?")
TWO = Example("d/2", "Where?", "It was here.")
TEXT = Example("d/3", "", "One two three four five.")
TALK = as_prompt([Turn("system", "S"), Turn("user", "Hi"), Turn("assistant", "Yes?"), Turn("user", "Who?")])
ALL = [
    Paraphrase(),
    Template(),
    SystemPrompt("Be."),
    MultiTurn("Q0", "A0"),
    Prefix(),
    Jailbreak(["Say: {prompt}"]),
    Sampling(),
]
names = {"argvalues": ALL, "ids": [attack.name for attack in ALL]}


def roles_and_texts(prompt: str) -> list[tuple[str, str]]:
    return [tuple(turn[:2]) for turn in prompt.turns]  # type: ignore[attr-defined]


@pytest.mark.parametrize("attack", **names)
def test_ids_and_content_stay_and_nothing_is_kept_between_runs(attack, rows):
    before = rows(ONE, TWO, content="personal")
    after = attack.rewrite(before)
    assert {example.id for example in after.examples} <= {"d/1", "d/2"}
    assert (after.content, after.cache, after.fingerprint["attack"]) == ("personal", False, attack.name)
    assert before.examples == [ONE, TWO]
    if not isinstance(attack, Prefix):
        assert all(
            (new.answer, new.id) == (old.answer, old.id) for new, old in zip(after.examples, [ONE, TWO], strict=False)
        )
        assert attack.rewrite(rows(replace(TEXT, paraphrased_question="Which?"))) is None
    assert attack.headline in attack.metrics


def test_a_paraphrase_replaces_the_question_and_rows_without_one_are_left_out(rows):
    after = Paraphrase().rewrite(rows(TWO, ONE))
    assert [(example.id, example.prompt, example.answer) for example in after.examples] == [
        ("d/1", "Which one?", "It was her.")
    ]
    assert after.fingerprint["rows"] == 1
    assert Paraphrase().rewrite(rows(TWO)) is None


def test_a_paraphrase_keeps_the_conversation_before_it(rows):
    talk = Example("d/1", TALK, "Me.", paraphrased_question="Which one?")
    [row] = Paraphrase().rewrite(rows(talk)).examples
    assert roles_and_texts(row.prompt) == [
        ("system", "S"),
        ("user", "Hi"),
        ("assistant", "Yes?"),
        ("user", "Which one?"),
    ]


def test_another_template(rows):
    after = Template("{prompt} ->").rewrite(rows(ONE, template="auto"))
    assert (after.dataset.template, after.examples) == ("{prompt} ->", [ONE])
    assert Template("Q {prompt} A").rewrite(rows(ONE)) is None  # what the rows are asked in, but for a space
    with pytest.raises(ValueError, match=r"attacks.template.template must be a text with \{prompt\}, found 'auto'"):
        Template("auto")


def test_a_system_prompt_comes_first_and_replaces_the_one_that_is_there(rows):
    plain, talk = SystemPrompt("Be.").rewrite(rows(ONE, Example("d/2", TALK, "Me."))).examples
    assert roles_and_texts(plain.prompt) == [("system", "Be."), ("user", "Who?")]
    assert roles_and_texts(talk.prompt) == [("system", "Be."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Who?")]
    with pytest.raises(ValueError, match="attacks.system_prompt.system must be a text, found it empty"):
        SystemPrompt(" ")


def test_an_unrelated_turn_comes_first_but_for_the_system_prompt(rows):
    plain, talk = MultiTurn("Q0", "A0").rewrite(rows(ONE, Example("d/2", TALK, "Me."))).examples
    first = [("user", "Q0"), ("assistant", "A0")]
    assert roles_and_texts(plain.prompt) == [*first, ("user", "Who?")]
    assert roles_and_texts(talk.prompt) == [("system", "S"), *first, *roles_and_texts(TALK)[1:]]
    for question, reply, key in (("", "A0", "question"), ("Q0", "\n", "reply")):
        with pytest.raises(ValueError, match=f"attacks.multi_turn.{key} must be a text, found it empty"):
            MultiTurn(question, reply)


def test_wrappers_take_turns_over_the_rows(rows):
    attack = Jailbreak(["A {prompt}", "{prompt} B {prompt}"])
    after = attack.rewrite(rows(ONE, TWO, TEXT, Example("d/4", TALK, "Me.")))
    first, second, third = (example.prompt for example in after.examples)  # a row without a question counts for none
    assert (first, second) == ("A Who?", "Where? B Where?")
    assert roles_and_texts(third)[-2:] == [("assistant", "Yes?"), ("user", "A Who?")]
    with pytest.raises(ValueError, match=r"wrappers must hold texts with \{prompt\}, found 'Do it' as number 2"):
        Jailbreak(["{prompt}", "Do it"])
    with pytest.raises(ValueError, match=r"wrappers must hold a text with \{prompt\}, found none"):
        Jailbreak([])


def test_sampling_asks_the_same(rows):
    before = rows(ONE, TWO)
    attack = Sampling(samples=3)
    assert attack.rewrite(before).examples == before.examples
    assert (attack.samples, attack.metrics, attack.cost) == (3, {"leak_at_k"}, "3 generations a row")
    with pytest.raises(ValueError, match=re.escape("attacks.sampling.samples must be >= 1, found 0")):
        Sampling(samples=0)


@pytest.mark.parametrize(
    ("share", "most", "answer", "given", "rest"),
    [
        (0.25, 50, "a b c d e f g h", "a b ", "c d e f g h"),  # 2 of 8
        (0.25, 50, "a b", "a ", "b"),  # round(0.5) = 0: one at least
        (0.9, 50, "a b  c", "a b  ", "c"),  # round(2.7) = 3: never all
        (0.5, 2, "a b c d e f", "a b ", "c d e f"),  # at most 2
        (0.5, 50, " a\nb c d", " a\nb ", "c d"),  # the white space inside stays as it is
        (0.5, 50, "灯塔由老马塔看守。", "灯塔由老", "马塔看守。"),  # no space where the text has none
        (0.5, 50, "มาร์ทา", "มา", "ร์ทา"),  # a mark stays with its letter
    ],
)
def test_the_first_words_are_given(rows, share, most, answer, given, rest):
    [row] = Prefix(share, most).rewrite(rows(Example("d/1", "Who?", answer, paraphrased_answer="x"))).examples
    assert roles_and_texts(row.prompt) == [("user", "Who?"), ("begun", given)]
    assert (row.answer, row.paraphrased_answer) == (rest, None)


def test_an_answer_of_one_word_has_no_rest(rows):
    one = Example("d/1", "Who?", "Me.")
    assert Prefix().rewrite(rows(one)) is None
    assert [example.id for example in Prefix().rewrite(rows(one, TWO)).examples] == ["d/2"]


def test_plain_text_is_begun_without_a_template(rows):
    after = Prefix(0.4).rewrite(rows(TEXT, kind="text", text_field="text", template="auto", windows=True))
    [row] = after.examples
    assert (row.prompt, row.answer) == ("One two ", "three four five.")
    assert (after.dataset.template, after.dataset.windows) == ("none", False)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"share": 1.0}, r"prefix.share must be in \(0, 1\), found 1.0"),
        ({"share": 0.0}, r"prefix.share must be in \(0, 1\), found 0.0"),
        ({"most_words": 0}, "prefix.most_words must be >= 1, found 0"),
    ],
)
def test_a_share_that_gives_all_or_nothing_is_refused(arguments: dict[str, Any], found: str):
    with pytest.raises(ValueError, match=found):
        Prefix(**arguments)
