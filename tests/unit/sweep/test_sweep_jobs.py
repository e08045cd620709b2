from __future__ import annotations

from mollm_cli.configuration.compose import MOST_CHECKED, composing, job_count, jobs, parse


def _jobs(*overrides: str) -> list[list[str]]:
    with composing():
        return jobs(parse(overrides))


def test_every_combination_once_and_every_value_early() -> None:
    found = _jobs("seed=range(0,3)", "loss=ga,mollm", "run_name='a,b'")
    assert sorted(found) == sorted(
        [f"seed={seed}", f"loss={loss}", "run_name='a,b'"] for loss in ("ga", "mollm") for seed in range(3)
    )
    assert {job[0] for job in found[:3]} == {"seed=0", "seed=1", "seed=2"}


def test_one_job_without_a_sweep() -> None:
    assert _jobs("seed=1") == [["seed=1"]]
    assert _jobs() == [[]]


def test_very_many_jobs_show_every_value_once() -> None:
    found = _jobs(f"seed=range(0,{MOST_CHECKED})", "loss=ga,mollm")
    assert len(found) == MOST_CHECKED
    assert {job[0] for job in found} == {f"seed={seed}" for seed in range(MOST_CHECKED)}
    assert {job[1] for job in found} == {"loss=ga", "loss=mollm"}


def test_what_only_a_sweeper_can_expand_is_left_out() -> None:
    assert _jobs("optimizer.lr=interval(0,1)", "seed=1") == [["seed=1"]]


def test_a_glob_over_a_group() -> None:
    assert sorted(job[0] for job in _jobs("data=glob(tofu*)")) == ["data=tofu", "data=tofu01", "data=tofu05"]


def test_how_many_jobs_there_are() -> None:
    with composing():
        many = [f"seed=range(0,{MOST_CHECKED})", "loss=ga,mollm", "run_name=x"]
        assert (job_count(parse(many)), job_count(parse(["seed=1"])), job_count([])) == (2 * MOST_CHECKED, 1, 1)
