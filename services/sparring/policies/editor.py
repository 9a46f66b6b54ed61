"""The attacker: an image editor made of the components of Qwen-Image-Edit, sampled as a policy.

The stock pipeline edits one image at a time, at one megapixel, by Euler steps. Here a batch of orders is edited at any
size, some steps are stochastic and recorded with their log-probabilities, and `logprob` computes those again with
gradients. Everything random comes from the order's own generator, so an edit does not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
from huggingface_hub import snapshot_download
from torch import nn
from transformers import Qwen2_5_VLForConditionalGeneration

from sparring.policies import flow
from sparring.policies.conditions import Batch, Conditioner, Pixels, alike, stack
from sparring.policies.config import EditorConfig, EditSampling
from sparring.policies.paths import Moment, draw_noise, proceed, recorded, trajectories
from sparring.policies.policy import Edited, Order, StepLogprobs, Trajectory
from sparring.policies.processor import open_processor
from sparring.policies.residents import Residents
from sparring.policies.vae import Codec

UNCONDITIONAL = " "
"""The instruction of guidance's second pass, as in the stock pipeline's examples."""


@dataclass(frozen=True)
class Guided:
    """A batch with what guidance needs.

    Attributes:
        told: conditions with the instructions.
        untold: the same without; None where `scale` is 1.
        scale: of true classifier-free guidance.
    """

    told: Batch
    untold: Batch | None
    scale: float

    def velocity(self, transformer: nn.Module, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        v = self.told.velocity(transformer, x, sigma)
        return v if self.untold is None else flow.guided(v, self.untold.velocity(transformer, x, sigma), self.scale)

    def repeated(self, count: int) -> Guided:
        return Guided(self.told.repeated(count), self.untold and self.untold.repeated(count), self.scale)


class Editor:
    """Weights of an attacker, several revisions at once (see `Policy`). Only the transformer is ever trained.

    `logprob` and `velocity` speak for the learner, with gradients; given the name of a revision, for that one without.
    """

    def __init__(self, config: EditorConfig) -> None:
        self._config = config
        self._dtype = getattr(torch, config.dtype)
        base = Path(config.base) if Path(config.base).is_dir() else Path(snapshot_download(config.base))
        transformer = self._open(base / "transformer")
        codec = Codec(self._vae(base / "vae"), int(transformer.config.patch_size))
        self._held = Residents(transformer, self._open, config.adapter)
        self._scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(str(base / "scheduler"))
        self.conditioner = Conditioner(
            codec,
            Qwen2_5_VLForConditionalGeneration.from_pretrained(str(base / "text_encoder"), dtype=self._dtype).to(
                config.device
            ),
            open_processor(base / "processor", min_pixels=1, max_pixels=2 * config.condition_pixels),
            pixels=config.pixels,
            view=config.condition_pixels,
            template=config.template,
            drop=config.drop_tokens,
        )

    def _open(self, folder: Path) -> QwenImageTransformer2DModel:
        opened = QwenImageTransformer2DModel.from_pretrained(str(folder), torch_dtype=self._dtype)
        return opened.to(self._config.device)

    def _vae(self, folder: Path) -> AutoencoderKLQwenImage:
        return AutoencoderKLQwenImage.from_pretrained(str(folder), torch_dtype=self._dtype).to(self._config.device)

    def install(self, name: str, folder: Path) -> None:
        self._held.install(name, folder)

    def remove(self, name: str) -> None:
        self._held.remove(name)

    @torch.no_grad()
    def control(self, images: Sequence[Pixels]) -> list[Pixels]:
        """Each image through the autoencoder and back, uint8 [height, width, 3] of its own size; no trained weights."""
        return self.conditioner.decode(self.encode(images), images)

    @torch.no_grad()
    def encode(self, images: Sequence[Pixels]) -> list[torch.Tensor]:
        """Packed, normalised latents of each image: float32 [tokens, channels]."""
        return self.conditioner.latents(images)

    @torch.no_grad()
    def rollout(self, acts: Sequence[Order], sampling: EditSampling, name: str) -> list[list[Edited]]:
        """One edit for each order, under the revision `name`.

        Raises:
            NotInstalled: `name` is not resident.
        """
        conditions = self.conditioner.encode(acts)
        paths: dict[int, Trajectory] = {}
        with self._held.use(name) as transformer:
            for rows in alike(conditions):
                batch = self._batch([acts[row] for row in rows], sampling.guidance)
                sampled = self._sample(transformer, batch, [acts[row].seed for row in rows], sampling)
                paths.update(zip(rows, sampled, strict=True))
        finals = [torch.from_numpy(paths[row].final).to(self._config.device) for row in range(len(acts))]
        images = self.conditioner.decode(finals, [act.image for act in acts])
        return [[Edited(image, paths[row])] for row, image in enumerate(images)]

    def _batch(self, orders: Sequence[Order], guidance: float) -> Guided:
        """Orders of one grid as a batch."""
        told = stack(self.conditioner.encode(orders))
        if guidance == 1:
            return Guided(told, None, guidance)
        untold = [replace(order, instruction=UNCONDITIONAL) for order in orders]
        return Guided(told, stack(self.conditioner.encode(untold)), guidance)

    def _sample(
        self, transformer: nn.Module, batch: Guided, seeds: Sequence[int], sampling: EditSampling
    ) -> list[Trajectory]:
        _, tokens, channels = batch.told.original.shape
        sigmas = flow.schedule(self._scheduler, sampling.steps, tokens)
        noises = [draw_noise(seed, tokens, channels, sampling) for seed in seeds]
        starts = torch.tensor([noise.start for noise in noises], device=self._config.device)
        fresh = torch.stack([noise.steps for noise in noises]).to(self._config.device)
        x = torch.stack([noise.first for noise in noises]).to(self._config.device)
        states, logprobs = [x], []
        for index in range(sampling.steps):
            now = Moment.of(sigmas, index, len(seeds), x.device)
            v = batch.velocity(transformer, x, now.sigma)
            x, scored = proceed(now, x, v, index - starts, fresh, sampling)
            states.append(x)
            logprobs.append(scored)
        return trajectories(states, logprobs, noises, sigmas, sampling)

    def logprob(
        self, acts: Sequence[Order], choices: Sequence[Edited], sampling: EditSampling, name: str | None = None
    ) -> StepLogprobs:
        """How probable the recorded steps of each edit are. Of images with fewer tokens, `mean` is 0 at the end.

        Raises:
            ValueError: an edit was sampled with other settings than `sampling`.
        """
        paths = [recorded(choice.trajectory, sampling) for choice in choices]
        parts: list[tuple[list[int], StepLogprobs]] = []
        with self._module(name) as transformer:
            for rows in alike(self.conditioner.encode(acts)):
                batch = self._batch([acts[row] for row in rows], sampling.guidance)
                parts.append((rows, self._score(transformer, batch, [paths[row] for row in rows], sampling)))
        return StepLogprobs(
            gathered([(rows, part.logprob) for rows, part in parts]),
            gathered([(rows, part.mean.transpose(1, 2)) for rows, part in parts]).transpose(1, 2),
            gathered([(rows, part.deviation) for rows, part in parts]),
        )

    def _score(
        self, transformer: nn.Module, batch: Guided, paths: Sequence[Trajectory], sampling: EditSampling
    ) -> StepLogprobs:
        window, device = sampling.recorded, self._config.device
        states = torch.from_numpy(np.stack([path.latents for path in paths])).to(device)
        moments = [Moment.of(path.sigmas, path.start + i, 1, device) for path in paths for i in range(window)]
        now = Moment.joined(moments)
        x = states[:, :-1].flatten(0, 1)
        v = batch.repeated(window).velocity(transformer, x, now.sigma)
        step = now.transition(sampling, x, v)
        scored = flow.logprob(sampling.variant, states[:, 1:].flatten(0, 1), step)
        shape = (len(paths), window)
        return StepLogprobs(
            scored.unflatten(0, shape), step.mean.unflatten(0, shape), step.deviation.detach().unflatten(0, shape)
        )

    def velocity(
        self, orders: Sequence[Order], latents: torch.Tensor, sigmas: torch.Tensor, name: str | None = None
    ) -> torch.Tensor:
        """The predicted velocity, without guidance: float32, shaped like `latents`.

        Args:
            orders: what each row is an edit of.
            latents: float32 [batch, tokens, channels]; noisy states. Rows of images with fewer tokens are padded.
            sigmas: float32 [batch]; their noise levels, 0 to 1.
            name: a revision to ask, without gradients; None asks the learner.
        """
        conditions = self.conditioner.encode(orders)
        parts = []
        with self._module(name) as transformer:
            for rows in alike(conditions):
                batch = stack([conditions[row] for row in rows])
                x = latents[rows, : batch.original.shape[1]]
                parts.append((rows, batch.velocity(transformer, x, sigmas[rows])))
        found = gathered(parts)
        return nn.functional.pad(found, (0, 0, 0, latents.shape[1] - found.shape[1]))

    @contextmanager
    def _module(self, name: str | None) -> Iterator[nn.Module]:
        if name is None:
            yield self._held.learner()
        else:
            with self._held.use(name) as transformer, torch.no_grad():
                yield transformer

    def learner(self) -> nn.Module:
        """The module that `logprob` has gradients for."""
        return self._held.learner()

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters of what `logprob` and `velocity` have gradients for."""
        return ((n, p) for n, p in self._held.learner().named_parameters() if p.requires_grad)

    def adopt(self, folder: Path) -> None:
        """Start the learner from a revision."""
        self._held.adopt(folder)

    def export(self, folder: Path) -> None:
        """Write the learner as a revision: the transformer's adapter (PEFT) or the whole transformer (diffusers)."""
        self._held.export(folder)


def gathered(parts: Sequence[tuple[list[int], torch.Tensor]]) -> torch.Tensor:
    """Parts of a batch in the batch's order, padded with zeros along the second axis.

    Args:
        parts: rows of the batch and their values [rows, length, ...].
    """
    length = max(values.shape[1] for _, values in parts)
    padded = [
        nn.functional.pad(values, (*(0, 0) * (values.ndim - 2), 0, length - values.shape[1])) for _, values in parts
    ]
    order = torch.tensor([row for rows, _ in parts for row in rows])
    return torch.cat(padded)[order.argsort().to(padded[0].device)]
