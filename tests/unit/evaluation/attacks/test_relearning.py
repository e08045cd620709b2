"""What is trained on, what is measured, and how the curve is read."""

from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.evaluation.attacks.attack_protocol import Bench, Finetuning
from mollm_cli.evaluation.attacks.relearning import Relearning, robustness


def trained_on(attack, rows):
    """(rows and settings that reach the fine-tuning, the points)."""
    seen = []

    def finetune(model, given, settings):
        seen.append((list(given), settings))
        yield from (5, 10)

    points = list(attack.tampered(None, Bench(rows, finetune)))
    [(given, settings)] = seen
    return given, settings, points


@pytest.mark.parametrize(("share", "many"), [(0.5, 5), (0.01, 1), (0.99, 9)])
def test_forget_rows_are_trained_on_or_measured_never_both(encoded, share, many):
    forget = encoded(10)
    attack = Relearning(share=share)
    given, _, _ = trained_on(attack, {"forget": forget})
    measured = attack.measured(forget)
    assert len(given) == many
    assert [row for row in forget if row in given or row in measured] == forget
    assert not {row.id for row in given} & {row.id for row in measured}
    assert [row.id for row in measured] == [row.id for row in forget if row in measured]  # in their order
    assert given == trained_on(attack, {"forget": forget})[0]


def test_the_part_is_drawn_by_seed(encoded):
    forget = encoded(10)
    parts = {tuple(row.id for row in Relearning(seed=seed).measured(forget)) for seed in range(20)}
    assert len(parts) > 5


@pytest.mark.parametrize("data", ["retain", "wikitext"])
def test_benign_rows_are_trained_on_and_all_forget_rows_measured(encoded, data):
    rows = {"forget": encoded(4), "retain": encoded(5, "retain"), "wikitext": encoded(3, "text")}
    attack = Relearning(data=data, name="relearning_benign")
    assert trained_on(attack, rows)[0] == rows[data]
    assert attack.measured(rows["forget"]) == rows["forget"]
    assert attack.what == f"20 steps of training on {data}, measured on the forget rows"


def test_the_curve_begins_before_the_first_step(encoded):
    attack = Relearning(steps=10, learning_rate=3e-5, batch_size=4, every=5)
    _, settings, points = trained_on(attack, {"forget": encoded(4)})
    assert settings == Finetuning(10, 3e-5, 4, 5)
    assert points == [0.0, 5.0, 10.0]
    assert attack.cost == "10 optimizer steps and 3 passes over the rows, on a copy of the model"
    assert Relearning(steps=11, every=5).cost.startswith("11 optimizer steps and 4 passes")  # 0, 5, 10, 11
    assert attack.what == "10 steps of training on 50% of the forget rows, measured on the others"


def test_rows_that_are_not_there_are_refused_before_and_while_it_runs(encoded):
    rows = {"forget": encoded(4), "retain": encoded(2), "holdout": []}
    attack = Relearning(data="retian")
    with pytest.raises(
        RequestError, match="relearning.data must name rows that there are, found 'retian'; did you mean"
    ):
        attack.check(rows)
    with pytest.raises(RequestError, match="choices: retain, forget$"):
        next(attack.tampered(None, Bench(rows, lambda *_: iter(()))))
    with pytest.raises(RequestError, match="found 'holdout'; choices: forget, retain"):
        Relearning(data="holdout").check(rows)
    Relearning().check(rows)


def test_one_row_cannot_be_trained_on_and_measured(encoded):
    one = encoded(1)
    with pytest.raises(
        RequestError, match="measures the others, found one row. Leave it out: '~evaluation.attacks.rel"
    ):
        Relearning().check({"forget": one})
    assert Relearning().measured(one) == one
    assert len(Relearning().measured(encoded(2))) == 1


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"share": 0.0}, r"share must be in \(0, 1\), found 0.0"),
        ({"share": 1.0}, r"share must be in \(0, 1\), found 1.0"),
        ({"learning_rate": 0.0}, "learning_rate must be > 0, found 0.0"),
        ({"steps": 0}, "steps must be >= 1, found 0"),
        ({"batch_size": 0}, "batch_size must be >= 1, found 0"),
        ({"every": 0}, "every must be >= 1, found 0"),
    ],
)
def test_what_cannot_be_is_refused(changes, found):
    with pytest.raises(ValueError, match=f"evaluation.attacks.relearning.{found}"):
        Relearning(**changes)


@pytest.mark.parametrize(
    ("oracle", "unlearned", "expected"),
    [(0.1, 0.4, 0.25), (0.4, 0.1, 1.0), (0.1, 0.0, 1.0), (0.1, -0.2, 1.0), (-0.1, 0.2, -0.5), (0.0, 0.2, 0.0)],
)
def test_robustness(oracle, unlearned, expected):
    assert robustness(oracle, unlearned) == pytest.approx(expected)
