"""Settings of the two policies. Importable without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Precision = Literal["float32", "bfloat16"]
Variant = Literal["ode", "flow_sde", "cps", "dance"]


class Adapter(BaseModel):
    """A LoRA adapter to be trained on a frozen base."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(32, ge=1)
    alpha: int = Field(64, ge=1)
    targets: tuple[str, ...]
    """Names (or suffixes of names) of the linear layers that get an adapter."""


class MllmConfig(BaseModel):
    """A multimodal language model that answers questions about an image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    """Folder or hub id of a model that `AutoModelForImageTextToText` opens."""
    dtype: Precision = "float32"
    device: str = "cpu"
    min_pixels: int = Field(64 * 64, ge=1)
    """Smaller images are enlarged to this area before the processor sees them, pixels."""
    max_pixels: int = Field(64 * 64, ge=1)
    """Larger images are reduced to this area, pixels."""
    adapter: Adapter | None = None
    """None trains all weights."""
    train_vision: bool = True


class EditorConfig(BaseModel):
    """An image editor made of the components of Qwen-Image-Edit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    """Folder or hub id with the pipeline's sub-folders: transformer, vae, text_encoder, processor, scheduler."""
    dtype: Precision = "float32"
    device: str = "cpu"
    pixels: int = Field(64 * 64, ge=1)
    """Area at which images are edited, pixels; the edit is returned at the size of the original."""
    condition_pixels: int = Field(64 * 64, ge=1)
    """Area of the view that the text encoder gets, pixels."""
    template: str = "<|user|><|vision_start|><|image_pad|><|vision_end|>{instruction}<|assistant|>"
    """Prompt of the text encoder: `{instruction}` and the image's special tokens among what else it expects."""
    drop_tokens: int = Field(4, ge=0)
    """Leading tokens of the prompt that are not passed on to the transformer; an image's tokens count as one."""
    adapter: Adapter | None = None
    """None trains all weights of the transformer."""


class EditSampling(BaseModel):
    """How an edit is drawn from the flow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(6, ge=1)
    """Denoising steps."""
    variant: Variant = "flow_sde"
    noise_level: float = Field(0.7, ge=0)
    """a of the SDE (Flow-GRPO, arXiv 2505.05470); without effect for `ode`."""
    window: int = Field(2, ge=0)
    """Consecutive steps that are stochastic and recorded; the others are Euler steps. 0 records none."""
    window_first: int = Field(0, ge=0)
    """Lowest step at which the window may start."""
    window_last: int = Field(0, ge=0)
    """Highest step at which the window may start; drawn uniformly from the request's own generator."""
    guidance: float = Field(1.0, ge=1)
    """True classifier-free guidance; 1 leaves out the second pass."""

    @property
    def recorded(self) -> int:
        """Steps that are really stochastic."""
        return 0 if self.variant == "ode" or self.noise_level == 0 else self.window

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if self.window_first > self.window_last:
            raise ValueError(f"window_first ({self.window_first}) is above window_last ({self.window_last})")
        if self.recorded and self.window_last + self.window >= self.steps:
            raise ValueError(
                f"a window of {self.window} from step {self.window_last} reaches the last of {self.steps} steps, which "
                "is never stochastic; lower window_last or window, or raise steps"
            )
        return self


class AnswerSampling(BaseModel):
    """How an answer is drawn from the language model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(1.0, ge=0, le=2)
    """0 is greedy. Log-probabilities are those of the distribution that was sampled from."""
    max_tokens: int = Field(24, ge=1)
