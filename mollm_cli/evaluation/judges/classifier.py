"""A judge made of any sequence-classification model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.assets.locate import resolve
from mollm_cli.core import network
from mollm_cli.core.errors import NonFiniteError, RequestError, nearest
from mollm_cli.evaluation.teacher_forcing import length_sorted, scoring
from mollm_cli.models.hub_models import PASSED_ON, cache_only

if TYPE_CHECKING:
    import torch

KEY = "evaluation.judges"


@dataclass(frozen=True)
class Classifier:
    """The probability that a classifier gives an answer of being ``label``.

    The probability is the sigmoid of the label's logit if the model has a single label or several at once (problem_type
    multi_label_classification), the softmax if labels exclude each other; in float32. Raises ValueError.

    path: a folder or Hub id.
    label: one of its labels by name, or by its number from 0.
    with_prompt: it reads the prompt before the answer, as a pair of texts.
    max_tokens: longer texts are cut (also at the model's context).
    """

    path: str
    label: str | int
    with_prompt: bool
    revision: str | None = None
    batch_size: int = 16
    max_tokens: int = 512
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes below 1."""
        for key, value in (("batch_size", self.batch_size), ("max_tokens", self.max_tokens)):
            if value < 1:
                raise ValueError(f"{KEY}: {key} of the classifier {self.path} must be >= 1, found {value}")

    def check(self) -> None:
        """Raise RequestError for anything missing or unfit, as far as it shows without the weights."""
        config = self._load_config()
        self._label_index(config)
        self._longest(self._load_tokenizer(), config)

    def scores(self, prompts: Sequence[str], answers: Sequence[str], device: torch.device) -> list[float]:
        """One probability per answer, in the order given; the model is loaded once and then freed.

        Raises RequestError if something cannot be loaded, NonFiniteError for a score that is not finite.
        """
        config = self._load_config()
        label, tokenizer = self._label_index(config), self._load_tokenizer()
        rows = self._encode(tokenizer, config, prompts, answers)
        model = self._load_weights(config).to(device)
        found: dict[int, float] = {}
        with scoring(model):
            for picked in length_sorted([len(row["input_ids"]) for row in rows], self.batch_size):
                batch = tokenizer.pad([rows[i] for i in picked], return_tensors="pt").to(device)
                found.update(zip(picked, _probabilities(model(**batch).logits.float(), label, config), strict=True))
        if any(score != score for score in found.values()):
            raise NonFiniteError(f"{KEY}: the classifier {self.path} must give numbers, found NaN; is it damaged?")
        return [found[i] for i in range(len(rows))]

    def _encode(
        self, tokenizer: Any, config: Any, prompts: Sequence[str], answers: Sequence[str]
    ) -> list[dict[str, list[int]]]:
        """Token ids per row, cut but not yet padded."""
        config.pad_token_id = tokenizer.pad_token_id  # decoder models find a row's last token by it
        longest = self._longest(tokenizer, config)
        pairs = ([p, a] if self.with_prompt else [a] for p, a in zip(prompts, answers, strict=True))
        return [dict(tokenizer(*texts, truncation=True, max_length=longest)) for texts in pairs]

    def _longest(self, tokenizer: Any, config: Any) -> int:
        """The number of tokens to which a row is cut. Raises RequestError if none are left for a text."""
        context = getattr(config, "max_position_embeddings", None) or self.max_tokens
        longest = min(self.max_tokens, tokenizer.model_max_length, context)
        special = tokenizer.num_special_tokens_to_add(pair=self.with_prompt)
        if longest <= special:
            raise RequestError(
                f"{KEY}: max_tokens of the classifier {self.path} must leave room beside its {special} special tokens, "
                f"found {longest}; raise max_tokens"
            )
        return int(longest)

    def _label_index(self, config: Any) -> int:
        names = {int(i): str(name) for i, name in config.id2label.items()}
        if isinstance(self.label, int) and self.label in names:
            return self.label
        matching = [i for i, name in names.items() if name == self.label]
        if not matching:
            raise RequestError(
                f"{KEY}: label must be one that the classifier {self.path} knows, found {self.label!r}; "
                f"{nearest(str(self.label), names.values())}, or a number from 0 to {len(names) - 1}"
            )
        return matching[0]

    def _load_config(self) -> Any:
        from transformers import AutoConfig

        return self._from(AutoConfig, "configuration")

    def _load_tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        tokenizer = self._from(AutoTokenizer, "tokenizer")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.pad_token is None:
            raise RequestError(
                f"{KEY}: the tokenizer of the classifier {self.path} must have a padding or an end token, found "
                "neither; name one as pad_token in its tokenizer_config.json"
            )
        tokenizer.padding_side = "right"  # some models number positions without the mask, padding included
        return tokenizer

    def _load_weights(self, config: Any) -> Any:
        import torch
        from transformers import AutoModelForSequenceClassification

        model, found = self._from(
            AutoModelForSequenceClassification, "model", config=config, dtype=torch.float32, output_loading_info=True
        )
        if found["missing_keys"]:
            raise RequestError(
                f"{KEY}: the classifier {self.path} must have every weight of its own, found "
                f"{len(found['missing_keys'])} missing, the first is {min(found['missing_keys'])}; name a model that "
                "was trained to classify, not the language model under it"
            )
        return model

    def _from(self, kind: Any, what: str, **options: Any) -> Any:
        """``from_pretrained`` of one of transformers' classes. Raises RequestError for what it refuses."""
        source = self._source()
        try:
            return kind.from_pretrained(
                source,
                revision=self.revision,
                trust_remote_code=self.trust_remote_code,
                local_files_only=cache_only(source),
                **options,
            )
        except PASSED_ON:
            raise
        except Exception as error:  # files of others make it raise anything
            first = (str(error).strip().splitlines() or [""])[0]
            remedy = network.remedy(error, f"{KEY}.NAME", f"{KEY}.NAME.path=DIR to a local folder")
            remedy = remedy or "Set its path to a folder written by save_pretrained, or to a Hub id (org/name)."
            raise RequestError(
                f"{KEY}: the {what} of the classifier {self.path} cannot be loaded "
                f"({type(error).__name__}: {first[:300]}). {remedy}"
            ) from error

    def _source(self) -> str:
        """The folder or Hub id to load from."""
        folder = resolve(self.path)
        if folder.is_dir():
            return str(folder)
        if self.path.startswith(("embedded:", "/", ".", "~")) or self.path.count("/") != 1:
            raise RequestError(
                f"{KEY}: the classifier {self.path} is no folder and no Hub id; set its path to a folder written by "
                "save_pretrained, or to a Hub id (org/name)"
            )
        return Path(self.path).as_posix()


def _probabilities(logits: torch.Tensor, label: int, config: Any) -> list[float]:
    """The column ``label`` of logits [B, labels] as probabilities."""
    alone = config.problem_type == "multi_label_classification" or logits.shape[-1] == 1
    probabilities = logits.sigmoid() if alone else logits.softmax(-1)
    return [float(p) for p in probabilities[:, label]]
