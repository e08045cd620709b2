"""A dataset, a model folder and a run directory of strangers: refused, or shown as text."""

from __future__ import annotations

import http.server
import json
import pickle
import re
import shutil
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import pytest

from mollm_cli.assets.locate import resolve
from mollm_cli.core.secrets import HIDDEN
from tests.support.browser import BROWSER, rendered
from tests.support.cli import Answer, unlearn, write_lines

SECRET = "plumtree-94-applecart"
VOID = {"meta", "link", "img", "br", "input", "line", "path", "circle", "base"}


class Trap:
    """An object that makes a folder when it is unpickled carelessly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> object:
        return Path.mkdir, (self.folder,)


class Requests(http.server.BaseHTTPRequestHandler):
    """Notes what is asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def listener() -> Iterator[str]:
    """The address of a server that a hostile page would call."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Requests)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()


def _evil(address: str) -> list[str]:
    """Short pieces: the embedded model's context is."""
    return [
        f"</pre><script>document.title='OWNED';fetch('{address}/fetch')</script>",
        f"\"'><img src={address}/img onerror=fetch('{address}/err')>",
        f"<link rel=stylesheet href={address}/css><svg onload=fetch('{address}/svg')>",
        f"</style><base href={address}/>\x1b[2J\x1b]0;OWNED\x07\u202e",
    ]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, listener: str) -> Answer:
    """A run on rows that are an attack, all the way to its report."""
    folder = tmp_path_factory.mktemp("hostile")
    typed = [
        "data=custom",
        "direction.forget_target=null",
        "evaluation.keep_text=true",
        "evaluation.limit=4",
        "loss=ga",
        'run_name="<script>1<"',
    ]
    for role in ("forget", "retain"):
        evil = _evil(listener) * 3
        rows = [{"question": f"{role} {n} {text}", "answer": f"{n} {text}"} for n, text in enumerate(evil)]
        typed.append(f"data.{role}.path={write_lines(folder / f'{role}.jsonl', rows)}")
    return unlearn(folder / "out", *typed)


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _harmless(html: str, listener: str) -> None:
    page = Page(html)
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "base", "iframe", "object", "embed", "form"}
    assert not {name for name in names if name.startswith("on")} and not names & {"href", "src", "action", "srcset"}
    assert len([tag for tag, _ in page.tags if tag == "style"]) == 1
    assert "<title>" in html and "OWNED" not in html.partition("</title>")[0]
    assert page.text.count(listener) >= 2


def test_a_hostile_dataset_is_shown_as_text(hostile: Answer, listener: str) -> None:
    assert hostile.code == 0, hostile.err
    html = (hostile.run_dir / "report.html").read_text(encoding="utf-8")
    _harmless(html, listener)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src &#39;none&#39;; style-src-elem &#39;sha256-") and "script" not in policy
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", html)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", hostile.err)


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine; the page is checked as text above")
def test_a_browser_runs_nothing_of_it_and_asks_for_nothing(hostile: Answer, listener: str, tmp_path: Path) -> None:
    document = rendered(hostile.run_dir / "report.html", tmp_path / "profile")
    _harmless(document, listener)
    assert Requests.asked == []
    # the same attack where nothing stops it: it does call, so that the silence above says something
    (tmp_path / "open.html").write_text(
        f"<!doctype html><title>t</title><pre>{''.join(_evil(listener))}", encoding="utf-8"
    )
    assert "OWNED" in rendered(tmp_path / "open.html", tmp_path / "profile") and "/fetch" in Requests.asked
    Requests.asked.clear()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the embedded model."""
    return Path(shutil.copytree(resolve("embedded:tiny"), tmp_path / "model"))


def test_a_model_folder_with_code_of_its_own(model: Path, root: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (model / "modeling_evil.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).mkdir()\nclass Evil: pass\n")
    config = json.loads((model / "config.json").read_text())
    auto_map = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "modeling_evil.Evil")
    (model / "config.json").write_text(json.dumps(config | {"model_type": "evil", "auto_map": auto_map}))
    run = unlearn(root, f"model.path={model}")
    assert run.code == 2 and "model.trust_remote_code=true" in run.err and "read that code" in run.err
    assert not ran.exists()


def test_a_model_folder_with_a_pickle_that_is_code(model: Path, root: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (model / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (model / name).write_bytes(pickle.dumps({"weight": Trap(ran)}, protocol=2))
    run = unlearn(root, f"model.path={model}")
    assert run.code == 2 and "the model cannot be loaded" in run.err and not ran.exists()


@pytest.mark.slow
def test_a_pickle_beside_safetensors_is_not_touched(model: Path, root: Path, tmp_path: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "ran"), protocol=2))
    assert unlearn(root, f"model.path={model}", "loss=ga").code == 0 and not (tmp_path / "ran").exists()


def test_escapes_in_names_do_not_reach_the_terminal(root: Path, tmp_path: Path) -> None:
    for typed in ("model.path=./\x1b[2Jevil", "data.forget.path=\x1b]0;x\x07evil", "+\x1b[31mevil=1"):
        run = unlearn(root, typed)
        assert run.code == 2 and "evil" in run.err and "\x1b" not in run.err and "\x07" not in run.err


@pytest.mark.slow
def test_secrets_are_in_no_file_and_in_no_message(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("MY_API_KEY", f"{SECRET}-two")
    (tmp_path / "tracker").mkdir()
    yaml = "_target_: tests.support.keyed.Keyed\napi_key: ${oc.env:MY_API_KEY}\nproject: ${oc.env:HF_TOKEN}\n"
    (tmp_path / "tracker" / "keyed.yaml").write_text(yaml)
    keyed = ["--config-dir", str(tmp_path), "--allow-code", "tests", "--allow-env", "MY_API_KEY", "tracker=keyed"]
    keyed += ["--allow-env", "HF_TOKEN"]
    run = unlearn(root, *keyed, "loss=ga", "+tracker.password=short1", "engine.checkpoint_every=1")
    assert run.code == 0, run.err
    assert "password=short1" not in run.manifest["command"] and f"+tracker.password={HIDDEN}" in run.manifest["command"]
    files = [file for file in run.run_dir.rglob("*") if file.is_file()]
    assert len(files) > 10
    assert not [file.name for file in files if SECRET.encode() in file.read_bytes() or b"short1" in file.read_bytes()]
    assert SECRET not in run.err + run.out
    wrong = unlearn(root, *keyed, "run_name=${oc.env:HF_TOKEN}")
    assert wrong.code == 2 and SECRET not in wrong.err and "no secret, found '***'" in wrong.err


def test_a_planted_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "config.yaml").symlink_to(victim)
    run = unlearn(root, "resume=auto", f"run_dir={planted}")
    assert run.code == 2 and "must hold no link, found " in run.err
    assert victim.read_text() == "mine" and sorted(file.name for file in planted.iterdir()) == ["config.yaml"]


@pytest.mark.slow
def test_the_code_of_a_run_that_is_gone_on_with(model: Path, root: Path, tmp_path: Path) -> None:
    """Neither where its config.yaml trusts itself, nor, said on the command line, where the weights are others."""
    first, ran = unlearn(root, f"model.path={model}", "engine.checkpoint_every=1"), tmp_path / "ran"
    assert first.code == 0, first.err
    (model / "modeling_evil.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).mkdir()\nclass Evil: pass\n")
    config = json.loads((model / "config.json").read_text())
    auto_map = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "modeling_evil.Evil")
    (model / "config.json").write_text(json.dumps(config | {"model_type": "evil", "auto_map": auto_map}))
    with (model / "model.safetensors").open("ab") as file:
        file.write(b" ")
    file = first.run_dir / "config.yaml"
    file.write_text(file.read_text().replace("trust_remote_code: false", "trust_remote_code: true"))
    typed = [f"resume={first.run_dir}", "engine.max_steps=5"]
    for line in (typed, [*typed, "--check"]):
        refused = unlearn(root, *line)
        assert refused.code == 2 and "model.trust_remote_code runs a model's own code" in refused.err
    refused = unlearn(root, *typed, "model.trust_remote_code=true")
    assert refused.code == 2 and "weights of model.path=" in refused.err and "(it was" in refused.err
    assert not ran.exists()
