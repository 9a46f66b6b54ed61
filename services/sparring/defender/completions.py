"""What OpenAI's chat completions look like, as far as a defender can take part in them.

KServe's own types for this come from vLLM. Settings that could only be ignored are taken where they ask for nothing.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sparring.serving.standards.inputs import Uint32, Uint64


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, given: Any) -> Any:
        """In this protocol null means that nothing is set."""
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class ImageUrl(_Model):
    """An image."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class Part(_Model):
    """Of a message: text or an image."""

    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: ImageUrl | None = None

    @model_validator(mode="after")
    def _is_its_type(self) -> Self:
        if [name for name in ("text", "image_url") if getattr(self, name) is not None] != [self.type]:
            raise ValueError(f"a part of type {self.type!r} has {self.type!r} and nothing else")
        return self


class Message(_Model):
    """What the user says."""

    role: Literal["user"]
    content: tuple[Part, ...]
    name: str | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _in_parts(cls, content: Any) -> Any:
        return ({"type": "text", "text": content},) if isinstance(content, str) else content

    @model_validator(mode="after")
    def _asks_about_an_image(self) -> Self:
        images = sum(part.type == "image_url" for part in self.content)
        if images != 1 or len(self.content) == images:
            raise ValueError(f"it has {images} images in {len(self.content)} parts; send one image and text")
        return self


class ChatRequest(_Model):
    """What is asked for."""

    model: str
    messages: tuple[Message]
    n: Uint32 = 1
    temperature: float = 1.0
    max_tokens: Uint32 | None = None
    max_completion_tokens: Uint32 | None = None
    seed: Uint64 | None = None
    top_p: float = Field(1.0, ge=1, le=1)
    frequency_penalty: float = Field(0.0, ge=0, le=0)
    presence_penalty: float = Field(0.0, ge=0, le=0)
    stream: Literal[False] = False
    logprobs: Literal[False] = False
    tools: tuple[()] = ()
    user: str | None = None


class ChatMessage(BaseModel):
    """What the model says."""

    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    """One answer."""

    index: int
    message: ChatMessage
    finish_reason: Literal["stop", "length"]


class ChatCompletion(BaseModel):
    """All answers to a request."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    """Seconds since 1970."""
    model: str
    system_fingerprint: str
    choices: list[Choice]


class ModelCard(BaseModel):
    """A model that may be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """When the service began, seconds since 1970."""
    owned_by: Literal["sparring"] = "sparring"


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
