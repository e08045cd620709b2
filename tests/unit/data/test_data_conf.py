"""conf/dataset and conf/data: every file binds to its class, and roles can be replaced from the command line."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from mollm_cli.data.dataset import Dataset
from mollm_cli.data.pairing import Pairing, load_roles, present

CONF = Path(__file__).parents[3] / "conf"
DATASETS = sorted(file.stem for file in (CONF / "dataset").glob("*.yaml"))
PAIRINGS = sorted(file.stem for file in (CONF / "data").glob("*.yaml"))
ROLES = ("forget", "retain", "forget_test", "retain_test", "holdout")
FILES = {role: f"data.{role}.path={role}.jsonl" for role in ROLES}


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    """The one group there is, composed with these overrides."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "base.yaml").write_text(f"hydra:\n  searchpath: ['file://{CONF}']\n")

    @cache
    def _composed(group, *overrides):
        with initialize_config_dir(str(folder), version_base="1.3"):
            return compose("base", [f"+{overrides[0]}", *overrides[1:]])[group]

    return _composed


@pytest.fixture
def built(composed):
    return lambda *asked: instantiate(composed(*asked), _convert_="all")


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_is_built_and_every_key_is_there(built, name):
    dataset = built("dataset", f"dataset={name}", *(f"dataset.{key}=null" for key in ("revision", "limit", "config")))
    assert isinstance(dataset, Dataset)
    assert dataset.has_source != name.endswith("-file")
    if name.endswith("-file"):
        assert dataset.name == name
        assert dataset.content == "personal"


@pytest.mark.parametrize("name", PAIRINGS)
def test_every_pairing_is_built_and_every_role_takes_a_file(built, name):
    pairing = built("data", f"data={name}", *FILES.values())
    assert isinstance(pairing, Pairing)
    assert pairing.name == name
    assert {role: present(pairing)[role].path for role in ROLES} == {role: f"{role}.jsonl" for role in ROLES}
    assert all(dataset.kind == pairing.forget.kind for dataset in map(present(pairing).get, ROLES))


def test_ids_of_different_roles_differ(built):
    for name in ("authors", "tofu", "tofu05", "tofu01"):
        names = [dataset.name for dataset in present(built("data", f"data={name}")).values()]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "forget", "holdout"), [("tofu", "10", 400), ("tofu05", "05", 200), ("tofu01", "01", 40)]
)
def test_tofu_parts_belong_together(built, name, forget, holdout):
    pairing = built("data", f"data={name}")
    kept = 100 - int(forget)
    assert (pairing.forget.config, pairing.forget.expected_rows) == (f"forget{forget}", holdout)
    assert pairing.forget.perturbed == f"hub:forget{forget}_perturbed"
    assert (pairing.retain.config, pairing.retain.expected_rows) == (f"retain{kept}", 4000 - holdout)
    assert pairing.holdout.config == f"holdout{forget}"


def test_pku_harmful_tests_other_prompts_and_a_file_replaces_them(built):
    pairing = built("data", "data=pku-harmful")
    assert pairing.forget.filter == pairing.forget_test.filter == {"safe": False}
    assert (pairing.forget.split, pairing.forget_test.split, pairing.holdout.split) == ("train", "test", "test")
    assert (pairing.forget.content, pairing.retain.content) == ("harmful", "ordinary")
    mine = built("data", "data=pku-harmful", FILES["forget"])
    assert list(present(mine)) == ["forget", "retain"]


def test_pku_safe_keeps_what_pku_harmful_forgets(built):
    pairing = built("data", "data=pku-safe", FILES["forget"])
    assert pairing.retain.path == pairing.forget.path == "forget.jsonl"
    assert (pairing.retain.filter, pairing.retain.content) == ({"safe": True}, "harmful")
    assert list(present(pairing)) == ["forget", "retain"]


def test_lily_and_the_others_come_from_one_file(built):
    pairing = built("data", "data=tinystories-lily", FILES["forget"])
    assert pairing.retain.path == "forget.jsonl"
    assert pairing.forget.filter == {"text": {"matches": r"\bLily\b"}}
    assert pairing.retain.filter == {"text": {"not_matches": r"\bLily\b"}}
    assert built("data", "data=tinystories-lily", FILES["forget"], FILES["retain"]).retain.path == "retain.jsonl"


def test_roles_are_swapped_and_added(built):
    assert built("data", "data=pku-safe", "dataset@data.retain=truthfulqa").retain.hub == "truthfulqa/truthful_qa"
    added = built("data", "data=custom", FILES["forget"], FILES["retain"], "+dataset@data.holdout=tofu")
    assert present(added)["holdout"].hub == "locuslab/TOFU"
    assert built("data", "data=pku-harmful", "+dataset@data.alternate=tofu").alternate.hub == "locuslab/TOFU"
    assert "text" in built("data", "data=tofu", "+dataset@data.sets.text=wikitext-2").sets
    assert sorted(built("data", "data=tofu", "~data.sets.world_facts").sets) == ["real_authors"]
    assert built("data", "data=pku-harmful", "data.holdout=null").holdout is None


@pytest.mark.parametrize("name", ["muse-news", "muse-books"])
def test_muse_has_its_corpora_and_questions(built, name):
    roles = present(built("data", f"data={name}"))
    assert {role: (d.config, d.split) for role, d in roles.items()} == {
        "forget": ("raw", "forget"),
        "retain": ("raw", "retain1"),
        "holdout": ("raw", "holdout"),
        "sets.forget_knowmem": ("knowmem", "forget_qa"),
        "sets.retain_knowmem": ("knowmem", "retain_qa"),
        "sets.verbmem": ("verbmem", "forget"),
    }
    assert roles["forget"].windows
    assert roles["holdout"].windows


@pytest.mark.parametrize("field", ["bio", "cyber"])
def test_wmdp_forgets_and_asks_about_one_field(built, field):
    roles = present(built("data", f"data=wmdp-{field}"))
    assert roles["retain"].config == f"{field}-retain-corpus"
    assert roles["sets.questions"].config == f"wmdp-{field}"
    assert {role: d.kind for role, d in roles.items()}["sets.questions"] == "choice"


def test_rwku_reads_one_list_of_people_everywhere(built):
    pairing = built("data", "data=rwku", "data.forget.filter.subject=[Ann Lee, Bo]", FILES["forget"])
    assert pairing.retain.path == "forget.jsonl"
    assert pairing.retain.filter == {"subject": {"except": ["Ann Lee", "Bo"]}}
    assert all(dataset.filter == {"subject": ["Ann Lee", "Bo"]} for dataset in pairing.sets.values())


def test_beavertails_and_lume_test_on_splits_of_their_own(built):
    splits = {role: d.split for role, d in present(built("data", "data=lume")).items()}
    assert splits == {"forget": "forget_train", "retain": "retain_train", "forget_test": "forget_validation",
                      "retain_test": "retain_validation"}  # fmt: skip
    beaver = present(built("data", "data=beavertails"))
    assert {role: (d.split, d.filter["is_safe"]) for role, d in beaver.items()} == {
        "forget": ("30k_train", False),
        "retain": ("30k_train", True),
        "forget_test": ("30k_test", False),
        "retain_test": ("30k_test", True),
    }


def test_refusals_answer_the_rows_to_forget(built, tmp_path):
    for name in ("forget", "retain"):
        rows = (f'{{"question": "{name}{i}", "answer": "a"}}\n' for i in range(20))
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    paths = [f"data.{role}.path={tmp_path}/{role}.jsonl" for role in ("forget", "retain")]
    alternate = ["+dataset@data.alternate=tofu-idk", f"data.alternate.path={tmp_path}/forget.jsonl"]
    loaded = load_roles(built("data", "data=custom", *paths, *alternate), 0)
    prompts = [[e.prompt for e in loaded[role].examples] for role in ("forget", "alternate")]
    assert prompts[0] == prompts[1]
    assert len(prompts[0]) == 20


def test_several_files_feed_one_role(built):
    paths = built("data", "data=custom", "data.forget.path=[a.jsonl,b.csv]", FILES["retain"]).forget.path
    assert paths == ["a.jsonl", "b.csv"]


def test_custom_without_files_says_what_to_set(built):
    with pytest.raises(InstantiationException, match=r"forget needs rows, found no source. Set data.forget.path=FILE"):
        built("data", "data=custom")


def test_the_embedded_authors_are_there(built):
    loaded = load_roles(built("data", "data=authors"), 0)
    assert sorted(loaded) == ["forget", "holdout", "retain", "text"]
    for role in ("forget", "retain", "holdout"):
        rows = loaded[role].examples
        assert all(row.paraphrased_question and row.paraphrased_answer and row.perturbed_answers for row in rows)
    assert 9 * len(loaded["forget"].examples) == len(loaded["retain"].examples)


def test_real_files_through_the_descriptions(built, shared):
    pku, truth = shared / "pku_saferlhf/pku_reconstructed_800.jsonl", shared / "truthfulqa/TruthfulQA.csv"
    loaded = load_roles(built("data", "data=pku-harmful", f"data.forget.path={pku}", f"data.retain.path={truth}"), 0)
    sizes = {role: len(found.examples) for role, found in loaded.items()}
    assert sizes["forget"] + sizes["forget_test"] == 800
    assert sizes["retain"] + sizes["retain_test"] == 817
