"""The defender: a multimodal language model of the Qwen-VL family that answers questions about an image.

Prompts are read once, whatever the number of answers to each: `rollout` and `logprob` both read the distinct prompts
into a cache, repeat it, and go on from there. So they compute the same numbers, and a group of eight answers costs one
image. The price is that activations of the prompt are held during training; there is no gradient checkpointing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModelForImageTextToText, Cache, PreTrainedModel

from sparring.policies.config import AnswerSampling, MllmConfig
from sparring.policies.policy import Ask, Reply, TokenLogprobs
from sparring.policies.processor import open_processor
from sparring.policies.prompts import Prompts, read
from sparring.policies.residents import Residents

VISION = r".*\bvisual\b.*"


class Mllm:
    """Weights of a defender, several revisions at once (see `Policy`).

    Raises:
        ValueError: the model of `config.base` does not say where its tokens stand in an image.
    """

    def __init__(self, config: MllmConfig) -> None:
        self._config = config
        model = self._open(Path(config.base))
        if not hasattr(model.model, "get_rope_index"):
            raise ValueError(f"{config.base}: {type(model).__name__} is not of the Qwen-VL family (no get_rope_index)")
        self.processor = open_processor(config.base, min_pixels=config.min_pixels, max_pixels=config.max_pixels)
        if not config.train_vision:
            model.model.visual.requires_grad_(False)
        self._held = Residents(model, self._open, config.adapter, None if config.train_vision else VISION)
        self._ends = ends(model, self.processor.tokenizer.eos_token_id)

    def _open(self, folder: Path) -> PreTrainedModel:
        dtype = getattr(torch, self._config.dtype)
        return AutoModelForImageTextToText.from_pretrained(str(folder), dtype=dtype).to(self._config.device)

    def install(self, name: str, folder: Path) -> None:
        self._held.install(name, folder)

    def remove(self, name: str) -> None:
        self._held.remove(name)

    @torch.inference_mode()
    def rollout(self, acts: Sequence[Ask], sampling: AnswerSampling, name: str) -> list[list[Reply]]:
        """`count` answers to each ask, under the revision `name`. An answer depends on its ask alone, not on the batch.

        Raises:
            NotInstalled: `name` is not resident.
        """
        counts = torch.tensor([ask.count for ask in acts])
        noise = np.stack([draws(ask.seed, index, sampling.max_tokens) for ask in acts for index in range(ask.count)])
        with self._held.use(name) as model:
            prompts = read(acts, self.processor, model)
            owners = prompts.rows.repeat_interleave(counts.to(model.device))
            tokens, logprobs = self._generate(model, prompts, owners, torch.from_numpy(noise), sampling.temperature)
        replies = iter(self._replies(tokens.cpu().numpy(), logprobs.cpu().numpy()))
        return [list(islice(replies, ask.count)) for ask in acts]

    def _generate(
        self,
        model: PreTrainedModel,
        prompts: Prompts,
        owners: torch.Tensor,
        noise: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens int64 [answers, length] and their log-probabilities; what follows an end token means nothing."""
        logits, cache = prefill(model, prompts)
        logits = logits[owners]
        cache.batch_select_indices(owners)
        mask, following = prompts.mask[owners], prompts.following[owners]
        done = torch.zeros(len(owners), dtype=torch.bool, device=model.device)
        tokens, logprobs = [], []
        for step, uniform in enumerate(noise.to(model.device).unbind(1)):
            chosen, logprob = choose(logits, uniform, temperature)
            tokens.append(chosen)
            logprobs.append(logprob)
            done |= torch.isin(chosen, self._ends.to(model.device))
            if bool(done.all()) or step + 1 == noise.shape[1]:
                break
            mask = nn.functional.pad(mask, (0, 1), value=1)
            logits = proceed(model, cache, chosen[:, None], mask, following[:, None] + step)[:, -1]
        return torch.stack(tokens, 1), torch.stack(logprobs, 1)

    def _replies(self, tokens: NDArray[np.int64], logprobs: NDArray[np.float32]) -> Iterator[Reply]:
        ending = np.isin(tokens, self._ends.numpy())
        lengths = np.where(ending.any(1), ending.argmax(1) + 1, tokens.shape[1])
        kept = [row[:length] for row, length in zip(tokens, lengths, strict=True)]
        texts = self.processor.tokenizer.batch_decode(kept, skip_special_tokens=True)
        for text, row, scores in zip(texts, kept, logprobs, strict=True):
            finished = bool(np.isin(row[-1], self._ends.numpy()))
            yield Reply(text.strip(), row.astype(np.int32), scores[: len(row)], finished)

    def logprob(self, acts: Sequence[Ask], choices: Sequence[Reply], sampling: AnswerSampling) -> TokenLogprobs:
        """How probable the learner finds one answer to each ask (`count` is not looked at).

        Raises:
            ValueError: the temperature is 0; greedy choice has no gradient.
        """
        if sampling.temperature == 0:
            raise ValueError("log-probabilities with gradients need a temperature above 0, got 0 (greedy)")
        model = self._held.learner()
        prompts = read(acts, self.processor, model)
        lengths = torch.tensor([len(choice.tokens) for choice in choices], device=model.device)
        tokens = nn.utils.rnn.pad_sequence(
            [torch.from_numpy(choice.tokens).long() for choice in choices], batch_first=True
        ).to(model.device)
        mask = torch.arange(tokens.shape[1], device=model.device) < lengths[:, None]
        logits = answer_logits(model, prompts, tokens, mask)
        logprobs = (logits.float() / sampling.temperature).log_softmax(-1)
        chosen = logprobs.gather(-1, tokens[..., None])[..., 0]
        with torch.no_grad():
            entropy = -(logprobs.exp() * logprobs).sum(-1)
        return TokenLogprobs(chosen, entropy, mask)

    def learner(self) -> PreTrainedModel:
        """The module that `logprob` has gradients for."""
        return self._held.learner()

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters of what `logprob` has gradients for."""
        return ((n, p) for n, p in self._held.learner().named_parameters() if p.requires_grad)

    def adopt(self, folder: Path) -> None:
        """Start the learner from a revision."""
        self._held.adopt(folder)

    def export(self, folder: Path) -> None:
        """Write the learner as a revision that plain `peft` or `transformers` opens; whole weights with processor."""
        self._held.export(folder)
        if self._config.adapter is None:
            self.processor.tokenizer.save_pretrained(folder)
            self.processor.image_processor.save_pretrained(folder)


def ends(model: PreTrainedModel, default: int) -> torch.Tensor:
    """Tokens that end an answer: int64 [tokens]."""
    configured = model.generation_config.eos_token_id
    return torch.tensor(configured if configured is not None else default).reshape(-1)


def draws(seed: int, index: int, count: int) -> NDArray[np.float64]:
    """The random numbers of one answer: float64 [count], 0 to 1."""
    return np.random.default_rng([seed, index]).random(count)


def choose(logits: torch.Tensor, uniform: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """One token per row by inversion of the cumulative distribution, and its log-probability; greedy at 0.

    Args:
        logits: [rows, vocabulary].
        uniform: float64 [rows], 0 to 1.
    """
    if temperature == 0:
        chosen = logits.argmax(-1)
        return chosen, torch.zeros_like(chosen, dtype=torch.float32)
    logprobs = (logits.float() / temperature).log_softmax(-1)
    reached = logprobs.double().exp().cumsum(-1)
    chosen = torch.searchsorted(reached, (uniform * reached[:, -1])[:, None], right=True)
    chosen = chosen.clamp_(max=logits.shape[-1] - 1)
    return chosen[:, 0], logprobs.gather(-1, chosen)[:, 0]


def prefill(model: PreTrainedModel, prompts: Prompts) -> tuple[torch.Tensor, Cache]:
    """Read the prompts: logits of what follows each [prompts, vocabulary], and the cache to go on from."""
    output = model(**prompts.inputs, position_ids=prompts.positions, use_cache=True, logits_to_keep=1)
    return output.logits[:, -1], output.past_key_values


def proceed(
    model: PreTrainedModel, cache: Cache, tokens: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Logits [rows, length, vocabulary] after each of `tokens`, which stand at `positions`, both [rows, length]."""
    output = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=positions.expand(3, -1, -1),
        past_key_values=cache,
        use_cache=True,
    )
    logits: torch.Tensor = output.logits
    return logits


def answer_logits(model: PreTrainedModel, prompts: Prompts, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logits [answers, length, vocabulary] that each of `tokens` was chosen from."""
    first, cache = prefill(model, prompts)
    if tokens.shape[1] == 1:
        return first[prompts.rows][:, None]
    cache.batch_select_indices(prompts.rows)
    steps = torch.arange(tokens.shape[1] - 1, device=tokens.device)
    positions = prompts.following[prompts.rows][:, None] + steps
    seen = torch.cat([prompts.mask[prompts.rows], mask[:, :-1].to(prompts.mask.dtype)], dim=1)
    rest = proceed(model, cache, tokens[:, :-1], seen, positions)
    return torch.cat([first[prompts.rows][:, None], rest], dim=1)
