"""Hostile YAML: configurations of a stranger's folder."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import product

from tests.support.hostile.hostile_input import ODD_VALUES, VARIABLE, Hostile, Make, Place, inputs

FAMILY = "YAML"
TARGETS = (
    "trap.spring", "trap.Evil", "os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "sympy.sympify",
    "psutil.Popen", "pygments.lexers.load_lexer_from_file", "mako.template.Template", "submitit.core.utils.pickle_load",
    "shutil.rmtree", "pathlib.Path.touch", "importlib.import_module", "pickle.loads", "torch.load", "runpy.run_path",
    "hydra.utils.call", "hydra.utils.get_method", "functools.partial", "yaml.unsafe_load", "ctypes.CDLL",
    "mollm_cli.run.purge.purge", "mollm_cli.core.atomic.write_text", "mollm_cli.launch.door.os.system",
    "mollm_cli.data.files.Path.unlink", "os . system", "\uff4f\uff53.system", "os", "", "..os.system", "os.system\n",
    "omegaconf.OmegaConf.load", "numpy.load", "transformers.AutoModel.from_pretrained", "datasets.load_dataset",
)  # fmt: skip
"""Callables that a stranger would like to be called, and odd ways to spell one."""
NODES = (
    "tracker", "optimizer", "solver", "engine", "evaluation", "model", "data", "direction", "data.forget", "loss",
    "data.sets.extra", "evaluation.metrics.extra", "evaluation.attacks.extra", "evaluation.judges.extra", "limits",
    "evaluation.harness", "data.mix.retain", "gates", "extra", "tracker.inner.deeper", "hydra.callbacks.x",
)  # fmt: skip
WAYS = (("--check",), ("--plan",), ("--cfg", "job", "--resolve"), ("--cfg", "job"), ("-m", "seed=0,1", "--check"))


def hostile_yaml() -> list[Hostile]:
    """All of this family."""
    return [
        *inputs(FAMILY, "code named by _target_", _code(), most=60),
        *inputs(FAMILY, "settings of Hydra's that run something", _of_hydra()),
        *inputs(FAMILY, "the environment and what was typed", _readers(), most=36),
        *inputs(FAMILY, "objects by tags", _tags()),
        *inputs(FAMILY, "bombs: aliases, depth, interpolations", _bombs()),
        *inputs(FAMILY, "lists of defaults that lead elsewhere", _defaults()),
        *inputs(FAMILY, "no YAML", _bytes()),
        *inputs(FAMILY, "values of another type", _values(), refused=False, most=26),
    ]


def _experiment(
    place: Place, rng: random.Random, body: str | bytes, ways: Sequence[tuple[str, ...]] = WAYS
) -> list[str]:
    head = "# @package _global_\n"
    place.write("experiment/theirs.yaml", head.encode() + body if isinstance(body, bytes) else head + body)
    return [
        "mollm-unlearn",
        *rng.choice(ways),
        "--config-dir",
        str(place.theirs),
        "experiment=theirs",
        "limits.seconds=1",
    ]


def _nested(key: str, body: str) -> str:
    """``body``, in flow style, at the dotted ``key``."""
    for name in reversed(key.split(".")):
        body = f"{{{name}: {body}}}"
    return body + "\n"


def _code() -> Iterator[Make]:
    shapes = ("{%s}", "[{%s}]", "{x: {y: [{%s}]}}", "{a: 1, %s, _partial_: true}", "{%s, _recursive_: true, b: {%s}}")

    def make(target: str, node: str, shape: str) -> Make:
        def write(place: Place, rng: random.Random) -> list[str]:
            named = f"_target_: {json.dumps(target)}, _args_: [{json.dumps(place.trap)}]"
            return _experiment(place, rng, _nested(node, shape.replace("%s", named)))

        return write

    return (make(*each) for each in product(TARGETS, NODES, shapes))


def _of_hydra() -> Iterator[Make]:
    bodies = (
        "callbacks: {x: {_target_: trap.spring}}", "launcher: {_target_: trap.spring}", "job: {chdir: true}",
        "sweeper: {_target_: trap.spring}", "env: {x: [{_target_: trap.Evil}]}", "help: {template: {_target_: trap.x}}",
        "job_logging: {handlers: {x: {(): trap.spring}}}", "hydra_logging: {handlers: {x: {class: trap.spring}}}",
        "job_logging: {formatters: {x: {(): trap.spring}}}", "job_logging: {version: 1, root: {handlers: [x]}}",
        "job: {env_set: {LD_PRELOAD: trap.so}}", "job: {env_set: {PYTHONPATH: x}}", f"job: {{env_copy: [{VARIABLE}]}}",
        "output_subdir: ../x", "searchpath: [pkg://trap]", "searchpath: [file:///etc]", "verbose: trap",
        "launcher: {_target_: hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher, setup: [id]}",
        "job: {config: {override_dirname: {kv_sep: /}}}", "job: {name: ../../x}",
    )  # fmt: skip

    def make(body: str) -> Make:
        return lambda place, rng: _experiment(place, rng, f"hydra: {{{body}}}\n")

    return (make(body) for body in bodies)


def _readers() -> Iterator[Make]:
    texts = (
        f"${{oc.env:{VARIABLE}}}", f"${{ oc.env : {VARIABLE} }}", f"x-${{oc.env:'{VARIABLE}',y}}", "${oc.env:${seed}}",
        f"${{oc.${{x}}:{VARIABLE}}}", f"${{${{x}}:{VARIABLE}}}", "${oc.decode:'${seed}'}", "${oc.create:{a: 1}}",
        "${hydra:overrides.task}", "${hydra:runtime.cwd}", f"${{hydra.job.env_set.{VARIABLE}}}", "${hydra:job.env_set}",
        "${..hydra.overrides.task}", f"\\\\${{oc.env:{VARIABLE}}}", "${oc.dict.values:hydra}", "${oc.select:hydra}",
        f"${{oc.deprecated:{VARIABLE}}}", f"${{oc.env:{VARIABLE},${{oc.env:HOME}}}}", "${python:1}",
    )  # fmt: skip
    nests = (
        "run_name: %s\n", "data: {%s: 1}\n", "output_root: %s\n", "gates: [%s]\n", "data: {forget: {path: [%s]}}\n",
        "model: {path: %s}\n", "tracker: {_target_: mollm_cli.trackers.wandb.WeightsAndBiases, project: %s}\n",
        "evaluation: {metrics: {x: {y: [[%s]]}}}\n", "defaults: [{override /loss: %s}]\n",
    )  # fmt: skip

    def make(text: str, nest: str) -> Make:
        return lambda place, rng: _experiment(place, rng, nest.replace("%s", json.dumps(text)))

    return (make(*each) for each in product(texts, nests))


def _tags() -> Iterator[Make]:
    bodies = (
        '!!python/object/apply:os.system ["%s"]', "!!python/name:os.system", "!!python/module:trap", "!<!x> a",
        '!!python/object/new:subprocess.Popen [["sh", "-c", "%s"]]', "!!python/object:trap.Evil {}", "!trap x",
        "!!binary 'not base64 !'", "!!timestamp 2020-13-45", "!!python/tuple [1]", "!!int x", "!!bool q",
        '!!python/object/apply:builtins.exec ["%s"]', "!!float {}", "!!omap [1]", "!!merge x", "!!python/complex 1j",
        "!!python/object/apply:builtins.eval ['1']",
    )  # fmt: skip

    def make(body: str) -> Make:
        return lambda place, rng: _experiment(place, rng, f"run_name: {body.replace('%s', place.trap)}\n")

    return (make(body) for body in bodies)


def _bombs() -> Iterator[Make]:
    def aliases(levels: int, width: int) -> str:
        lines = [f"a0: &a0 [{','.join(['x'] * width)}]"]
        lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
        return "evaluation: {metrics: {x: 1}}\n" + "\n".join(lines) + "\n"

    def interpolations(levels: int, width: int) -> str:
        lines = [f"b{n}: '{f'${{b{n - 1}}}' * width}'" for n in range(1, levels)]
        return "b0: " + "x" * 40 + "\n" + "\n".join(lines) + f"\nrun_name: ${{b{levels - 1}}}\n"

    def nodes(levels: int) -> str:
        lines = [f"b{n}: {{x: '${{b{n - 1}}}', y: '${{b{n - 1}}}'}}" for n in range(1, levels)]
        return "b0: {a: 1, b: 2}\n" + "\n".join(lines) + "\n"

    def long(depth: int) -> str:
        return "run_name: " + "${seed:" * depth + "}" * depth + "\n"

    merged = "a: &a {x: 1}\n" + "".join(f"m{n}: &m{n} {{<<: [{','.join(['*a'] * 400)}]}}\n" for n in range(400))
    bodies = [
        *(aliases(*each) for each in ((9, 9), (20, 3), (40, 2), (3, 200), (6, 30))),
        *(interpolations(*each) for each in ((12, 10), (30, 4), (60, 2), (8, 50), (200, 2))),
        *(nodes(levels) for levels in (16, 24, 60)),
        *(f"run_name: {'[' * n}{']' * n}\n" for n in (40, 1000, 100_000)),
        *(f"run_name: {'{a: ' * n}1{'}' * n}\n" for n in (40, 5000)),
        *(long(depth) for depth in (5, 60, 1200)),
        "".join(f"{' ' * n}a:\n" for n in range(800)) + " " * 800 + "a: 1\n", merged, "x: &x [*x]\n", "x: &x {x: *x}\n",
        "run_name: ${run_name}\n", "run_name: ${x}\nx: ${y}\ny: ${x}\n", "x: '" + "a" * (1 << 21) + "'\n",
        "".join(f"k{n}: {n}\n" for n in range(120_000)), "- a\n" * 300_000, "x: 1" + "0" * 200_000 + "\n",
        "? " * 3000 + "a\n", "x: !!set {" + "a, " * 50_000 + "}\n", "&a " * 2000 + "x: 1\n", "# " * 700_000 + "\n",
    ]  # fmt: skip

    def make(body: str) -> Make:
        return lambda place, rng: _experiment(place, rng, body, WAYS[:3])  # resolved, so that all is written out

    return (make(body) for body in bodies)


def _defaults() -> Iterator[Make]:
    bodies = (
        "defaults: [../../../../etc/passwd]", "defaults: [/etc/passwd]", "defaults: [theirs]",
        "defaults: [/experiment/b]", "defaults: [{/tracker: ../theirs}]",
        "defaults: [{override hydra/launcher: trap}]", "defaults: [[[[]]]]",
        "defaults: [{override /loss: [ga, ga]}]", "defaults: {a: 1}", "defaults: 5", "defaults: [5, null, true]",
        "defaults: [{/loss@hydra.callbacks: ga}]", "defaults: [{override hydra/job_logging: default}]",
        f"defaults: [{', '.join([f'{{optional /tracker@x{n}: no}}' for n in range(400)])}, b]",
        "defaults: [{/model@_global_.hydra.job.env_set: tiny}]", "defaults: [file:///etc/hosts]", "defaults: [{}]",
        "defaults: [{/loss@: ga}]", "defaults: [pkg://trap/x]", "defaults: [b, b, b]",
    )  # fmt: skip

    def make(body: str) -> Make:
        def write(place: Place, rng: random.Random) -> list[str]:
            place.write("experiment/b.yaml", "# @package _global_\ndefaults: [theirs]\n")
            return _experiment(place, rng, body + "\n")

        return write

    return (make(body) for body in bodies)


def _bytes() -> Iterator[Make]:
    bodies = [
        b"\x00", b"run_name: a\x00b\n", b"run_name: \xff\xfe\n", "run_name: a\n".encode("utf-16"), b"a: b: c\n",
        b"[", b"run_name: \x1b[31mred\n", b"\ta: 1\n", b"- a\nb: 1\n", b"a: 'x\n", b"%YAML 9.9\n---\n",
        b"--- a\n--- b\n", b"a: 1\na: 2\n", b"5\n", b"- 1\n", b"'text'\n", b"\xed\xa0\x80: 1\n", b"a: *b\n", b"@x\n",
        b"a: |9999999999\n b",
    ]  # fmt: skip
    bodies += [random.Random(f"bytes {n}").randbytes(300) for n in range(6)]

    def make(body: bytes) -> Make:
        return lambda place, rng: _experiment(place, rng, body)

    return (make(body) for body in bodies)


def _values() -> Iterator[Make]:
    keys = (
        "seed", "run_name", "output_root", "gates", "model.path", "model.dtype", "model.lora_rank", "model.revision",
        "data.forget.path", "data.forget.limit", "data.forget.filter", "data.forget.template", "data.test_share",
        "data.forget.prompt_field", "data.forget.embedded", "engine.max_steps", "engine.batch_size", "engine.device",
        "engine.clip_norm", "engine.processes", "optimizer.lr", "optimizer.betas", "evaluation.limit",
        "evaluation.oracle", "evaluation.metrics", "evaluation.generate_tokens", "evaluation.keep_text", "direction",
        "solver", "tracker", "engine", "data", "data.sets", "loss", "names", "limits",
    )  # fmt: skip

    def make(key: str, value: object) -> Make:
        return lambda place, rng: _experiment(place, rng, _nested(key, json.dumps(value)))

    return (make(*each) for each in product(keys, ODD_VALUES))
