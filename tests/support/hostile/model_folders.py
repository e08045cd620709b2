"""Hostile model folders: templates, configurations, tokenizers, code, weights and adapters of a stranger."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from tests.support.hostile.hostile_input import ODD_VALUES, Hostile, Make, Place, deep, inputs, places, put
from tests.support.hostile.rows import ROWS, Trap, lines

FAMILY = "model folders"
Spoil = Callable[[Path], object]
"""Damages a copy of the model folder."""


def hostile_models() -> list[Hostile]:
    """All of this family."""
    return [
        *inputs(FAMILY, "chat templates that work without end", _endless()),
        *inputs(FAMILY, "chat templates that raise or reach out", _templates()),
        *inputs(FAMILY, "chat templates of another type", _typed(), refused=False),
        *inputs(FAMILY, "config.json of another shape", _configs(), refused=False, most=30),
        *inputs(FAMILY, "config.json of a giant", _giants()),
        *inputs(FAMILY, "tokenizer files of another shape", _tokenizers(), refused=False, most=30),
        *inputs(FAMILY, "code and pickles", _code(), refused=False),
    ]


def checked(place: Place, model: Path) -> list[str]:
    """``--check`` of the folder on rows that no message may hold."""
    files = {role: place.write(f"{role}.jsonl", lines(_rows(role))) for role in ("forget", "retain")}
    return place.checked(
        "data=custom", *(f"data.{role}.path={file}" for role, file in files.items()), f"model.path={model}"
    )


def _rows(role: str) -> list[dict[str, str]]:
    return ROWS if role == "forget" else [{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(12)]


def spoilt(spoil: Spoil, *ways: str) -> Make:
    """A spoilt copy. ways: how the folder is met, one of --check, --plan and a run."""

    def write(place: Place, rng: random.Random) -> list[str]:
        model = place.copied_model()
        spoil(model)
        way = rng.choice(ways or ("check",))
        if way == "check":
            return checked(place, model)
        if way == "plan":
            return [*place.ran(f"model.path={model}"), "--plan"]
        return place.ran(f"model.path={model}")

    return write


def json_file(name: str, at: tuple[Any, ...], value: Any) -> Spoil:
    """Another value at the path ``at`` of a JSON file."""

    def spoil(model: Path) -> None:
        file = model / name
        content = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps(put(content, at, value)))

    return spoil


def text_file(name: str, content: str | bytes) -> Spoil:
    """Another content."""

    def spoil(model: Path) -> None:
        (model / name).unlink(missing_ok=True)
        (model / name).write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)

    return spoil


def _endless() -> Iterator[Make]:
    loop = "{% for a in range(99999) %}"
    templates = (
        loop * 3 + "x" + "{% endfor %}" * 3, "{{ 'a' * 10**10 }}", "{{ range(10**9) | list }}",
        "{{ range(10**9) | join }}", "{% macro m(x) %}{{ m(x + 1) }}{{ m(x) }}{% endmacro %}{{ m(0) }}",
        "{{ 9 ** (9 ** 9) }}", loop * 20 + "{% endfor %}" * 20, "{{ ('a' * 99999) | replace('a', 'a' * 99999) }}",
        "{{ 'a' | center(10**10) }}", "{{ '%9999999999d' % 1 }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{{ lipsum(n=10**7) }}", "{{ '{:>9999999999}'.format(1) }}", "{{ (messages * 10**9) | length }}",
        loop * 2 + "{{ messages | tojson }}" + "{% endfor %}" * 2, "{{ 'a' * 3 * 10**7 }}{{ messages[0].content }}",
    )  # fmt: skip
    return (spoilt(text_file("chat_template.jinja", template)) for template in templates)


def _templates() -> Iterator[Make]:
    chain = "".__class__.__name__
    templates = (
        "{{ 1/0 }}", "{{ raise_exception(messages[0].content) }}", "{{ raise_exception(messages | string) }}",
        "{% for %}", "{{ messages[99].content }}", "{{ messages.x.y.z }}", "{{ undefined_thing() }}",
        "{% include '/etc/passwd' %}", "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}",
        "{{ lipsum.__globals__['os'].system('touch CANARY') }}", "{{ self.__init__.__globals__ }}",
        "{% import 'os' as os %}", "{{ messages.append(1) }}{{ messages }}", "{{ joiner.__init__.__globals__ }}",
        "{{ messages[0].content.x }}", "{{ (messages[0].content | int) + [] }}",
        "{{ messages[0].content | attr('format_map')(1) }}", "{{ {}[messages[0].content] }}",
        "{{ 'x' | unknown_filter }}", "{{ messages[0].content is unknown }}",
        "{% set x = messages[0].content %}{{ x() }}", "{{ strftime_now(messages[0].content * 99) }}",
        "{{ strftime_now(5) }}", "{{ '\ud800' }}", "{% extends messages[0].content %}",
        "(" * 400 + "{{" + "(" * 3000 + "1" + ")" * 3000 + "}}", "{{ " + "not " * 50_000 + "1 }}",
        "{% if 1 %}" * 4000,
    )  # fmt: skip
    assert chain == "str"
    for template in templates:

        def spoil(model: Path, template: str = template) -> None:
            canary = str(model.parents[1] / "canary")
            text_file("chat_template.jinja", template.replace("CANARY", canary))(model)

        yield spoilt(spoil)


def _typed() -> Iterator[Make]:
    for value in (
        5,
        [],
        {},
        True,
        1e9,
        [{"name": "default", "template": 5}],
        [{"name": 5}],
        {"default": "{{ 1/0 }}"},
        [[]],
    ):
        yield spoilt(json_file("tokenizer_config.json", ("chat_template",), value))
    for content in (b"\xff\xfe\x00", b"", b"\x00" * 99):
        yield spoilt(text_file("chat_template.jinja", content))


def _configs() -> Iterator[Make]:
    keys = (
        "architectures", "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "dtype", "num_key_value_heads", "head_dim", "hidden_act", "rope_parameters", "max_position_embeddings",
        "eos_token_id", "pad_token_id", "tie_word_embeddings", "rms_norm_eps", "attention_dropout",
        "intermediate_size", "torch_dtype", "quantization_config", "attn_implementation", "_attn_implementation",
        "use_cache", "initializer_range", "id2label",
    )  # fmt: skip
    for content in ("[1, 2]", "null", "5", "", "{", deep(100_000), '"x"', "\ufeff{}", '{"a": ' * 900 + "1" + "}" * 900):
        yield spoilt(text_file("config.json", content), "check", "plan", "run")
    values = (*ODD_VALUES, "os.system", "trap.spring", "gpt2", "bert", "torch.float32", "t5")
    for key, value in product(keys, values):
        yield spoilt(json_file("config.json", (key,), value), "plan", "run")
    for key, value in product(("eos_token_id", "max_length", "pad_token_id", "transformers_version"), ODD_VALUES[:14]):
        yield spoilt(json_file("generation_config.json", (key,), value), "run")


def _giants() -> Iterator[Make]:
    sizes = {
        "num_hidden_layers": (10_000, 10**8), "hidden_size": (10**9,), "vocab_size": (10**12,), "head_dim": (2**40,),
        "intermediate_size": (10**13,), "num_attention_heads": (10**9,),
    }  # fmt: skip
    for key, values in sizes.items():
        for value in values:
            yield spoilt(json_file("config.json", (key,), value), "run")
            yield spoilt(json_file("config.json", (key,), value), "plan")


def _tokenizers() -> Iterator[Make]:
    whole = json.loads((Path(__file__).parents[3] / "mollm_cli/assets/tiny/tokenizer.json").read_text())
    whole["model"]["vocab"] = dict(list(whole["model"]["vocab"].items())[:3])
    whole["model"]["merges"] = whole["model"]["merges"][:2]
    for content in ("[]", "{}", "null", "", "5", deep(100_000), "{" * 99, "\x00", '{"version": "9.9"}', b"\xff\xfe"):
        yield spoilt(text_file("tokenizer.json", content))
        yield spoilt(text_file("tokenizer_config.json", content))
    for at in places(whole):
        for value in (None, [], {}, -1, 10**400, "x", "../../victim", [[1]], {"type": "Sequence", "pretokenizers": []}):
            yield spoilt(json_file("tokenizer.json", at, value))
    keys = (
        "tokenizer_class", "eos_token", "pad_token", "bos_token", "model_max_length", "added_tokens_decoder",
        "backend", "additional_special_tokens", "extra_special_tokens", "padding_side", "auto_map",
        "processor_class",
    )  # fmt: skip
    for key, value in product(keys, (*ODD_VALUES, "trap.Evil", "PreTrainedTokenizerFast", "LlamaTokenizer")):
        yield spoilt(json_file("tokenizer_config.json", (key,), value))
    pattern = {
        "type": "Split",
        "pattern": {"Regex": "(a*)*(a|aa)+" * 12 + "$"},
        "behavior": "Isolated",
        "invert": False,
    }
    yield spoilt(json_file("tokenizer.json", ("pre_tokenizer",), pattern))
    yield spoilt(
        json_file(
            "tokenizer.json", ("normalizer",), {"type": "Replace", "pattern": {"String": ""}, "content": "a" * 9999}
        )
    )
    yield spoilt(json_file("tokenizer.json", ("model", "merges"), [["a", "b"]] * 500_000))


def _code() -> Iterator[Make]:
    evil = "from trap import Evil, spring\nspring()\n"
    mapped = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "modeling_evil.Evil")
    for key, value in (
        ("auto_map", mapped),
        ("auto_map", {"AutoConfig": "other/repo--x.Evil"}),
        ("auto_map", 5),
        ("auto_map", []),
    ):
        for kind in ("llama", "evil"):

            def spoil(model: Path, key: str = key, value: Any = value, kind: str = kind) -> None:
                (model / "modeling_evil.py").write_text(evil)
                json_file("config.json", ("model_type",), kind)(model)
                json_file("config.json", (key,), value)(model)
                json_file("tokenizer_config.json", (key,), {"AutoTokenizer": ["modeling_evil.Evil", None]})(model)

            yield spoilt(spoil, "check", "plan", "run")
    for name in (
        "pytorch_model.bin",
        "model.pt",
        "training_args.bin",
        "optimizer.pt",
        "pytorch_model.bin.index.json",
        "vocab.pkl",
    ):
        for alone in (True, False):

            def spoil(model: Path, name: str = name, alone: bool = alone) -> None:
                if alone:
                    (model / "model.safetensors").unlink()
                (model / name).write_bytes(pickle.dumps(Trap(model.parents[1] / "canary"), protocol=2))

            yield spoilt(spoil, "run")
    for method in ("gptq", "awq", "bitsandbytes", "quanto", "compressed-tensors", "trap"):
        yield spoilt(
            json_file("config.json", ("quantization_config",), {"quant_method": method, "bits": 4}), "run", "plan"
        )
