"""The charts of a run's report; a chart without a point is left out."""

from __future__ import annotations

from dataclasses import dataclass

from mollm_cli.reporting.formatting import finite, label, yardstick_name
from mollm_cli.reporting.measures import yardstick
from mollm_cli.reporting.plots import Chart, Mark, Series
from mollm_cli.reporting.run_files import Run
from mollm_cli.reporting.trajectory import curve, evaluations, keys_under

FORGET_TONE, RETAIN_TONE, COSINE_TONE = 0, 1, 3
"""Colours of forget and retain, and the first of the cosines; objectives count from 0 in the order of their rows."""

UNIT = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class ChartGroup:
    """Charts under one heading."""

    title: str
    note: str
    charts: list[Chart]


def way_charts(run: Run) -> list[Chart]:
    """Forget against retain, and both over the steps, from the progress evaluations."""
    path = evaluations(run.steps)
    if not path:
        return []
    metrics = run.metrics or {}
    target = yardstick(metrics, "forget_probability")
    aim = yardstick_name(metrics).removeprefix("the ")
    marks = [Mark("start", path[0].forget, path[0].retain)]
    if len(path) > 1:
        marks.append(Mark("end", path[-1].forget, path[-1].retain))
    oracle = metrics.get("oracle") or {}
    aim_retain = finite(oracle.get("retain_probability"))
    if target is not None and aim_retain is not None:
        marks.append(Mark("oracle", target, aim_retain, hollow=True))
    way = Chart(
        title="Forget against retain",
        note="Left is forgotten, up is kept; a dot is an evaluation",
        x_label="probability of the forget answers",
        series=(Series("path", tuple((p.forget, p.retain) for p in path), RETAIN_TONE, dots=True),),
        marks=tuple(marks),
        x_range=UNIT,
        y_range=UNIT,
    )
    steps = Chart(
        title="Forget and retain over steps",
        note="Mean probability of the answers",
        x_label="step",
        series=(
            Series("forget", tuple((float(p.step), p.forget) for p in path), FORGET_TONE, dots=True),
            Series("retain", tuple((float(p.step), p.retain) for p in path), RETAIN_TONE, dots=True),
        ),
        x_range=_from_zero(run),
        rule=None if target is None else (f"forget: {aim}", target),
        y_range=UNIT,
    )
    return [way, steps]


def groups(run: Run) -> list[ChartGroup]:
    """The curves over the steps: losses, the solver's input and choice, first-order changes."""
    found = (
        ChartGroup("Loss of each objective", "Every objective is minimised; each has its own scale.", losses(run)),
        ChartGroup(
            "The solver", "What it saw between the objectives' gradients, and the shares it gave them.", programme(run)
        ),
        ChartGroup("First-order change per step", "Below 0 the step descended on the objective.", changes(run)),
    )
    return [group for group in found if group.charts]


def losses(run: Run) -> list[Chart]:
    """The loss of each objective, in a chart of its own because scales differ."""
    return _each(run, ("loss",))


def programme(run: Run) -> list[Chart]:
    """Weights on the simplex, and the cosines between the objectives' gradients."""
    simplex = [Series(label(o), curve(run.steps, f"simplex.{o}"), tone) for tone, o in enumerate(run.objectives)]
    cosines = [
        Series(_pair(key), curve(run.steps, key), COSINE_TONE + tone)
        for tone, key in enumerate(keys_under(run.steps, "cosine."))
    ]
    weights = Chart("Simplex weights", "step", tuple(simplex), x_range=_from_zero(run), y_range=UNIT)
    conflicts = Chart(
        "Cosines of gradients",
        "step",
        tuple(cosines),
        note="Below 0 two objectives are in conflict",
        x_range=_from_zero(run),
        y_range=(-1.0, 1.0),
    )
    return [chart for chart in (weights, conflicts) if not chart.empty]


def changes(run: Run) -> list[Chart]:
    """The first-order change of each objective per step, as predicted and as realised by the optimizer."""
    return _each(run, ("predicted", "realised"))


def _each(run: Run, quantities: tuple[str, ...]) -> list[Chart]:
    """One chart per objective, with a line per quantity that train.jsonl holds; a prediction is dashed."""
    charts = []
    for tone, objective in enumerate(run.objectives):
        series = (
            Series(quantity, curve(run.steps, f"{quantity}.{objective}"), tone, dashed=quantity == "predicted")
            for quantity in quantities
        )
        found = tuple(line for line in series if line.points)
        charts.append(Chart(label(objective), "step", found, x_range=_from_zero(run)))
    return [chart for chart in charts if not chart.empty]


def _from_zero(run: Run) -> tuple[float, float]:
    return 0.0, float(max(1, run.steps[-1]["step"])) if run.steps else 1.0


def _pair(key: str) -> str:
    _, first, second = (key + "..").split(".")[:3]
    return f"{label(first)} · {label(second)}"
