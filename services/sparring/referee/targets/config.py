"""Settings of targets that are not ours. Importable without the libraries that do the work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sparring.referee.targets.hosts import Place, to_pattern, to_place


def _checked_url(url: str) -> str:
    to_place(url)
    return url


def _checked_pattern(text: str) -> str:
    to_pattern(text)
    return text


Url = Annotated[str, AfterValidator(_checked_url)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of an environment variable."""


class _Model(BaseModel):
    # A URL may hold a password by mistake; what is wrong with it is said without it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class HttpConfig(_Model):
    """What all targets have that are called over HTTP."""

    url: Url
    """Where the API begins, for example `https://models.example.org/v1`."""
    model: str = Field(min_length=1, max_length=200)
    """As the endpoint names it."""
    key_env: Variable | None = None
    """Environment variable with the bearer token. The key itself is in no configuration, log or ledger."""
    key_in_clear: bool = False
    """Let the key travel without TLS to another machine."""
    roots: str | None = Field(None, min_length=1)
    """PEM file with the authorities that may sign the endpoint's certificate; None means those of the system."""
    concurrency: int = Field(16, ge=1, le=1024)
    """Requests in flight."""
    requests_per_second: float | None = Field(None, gt=0)
    """Most requests that are begun in a second, repeated ones included."""
    connect_seconds: float = Field(10.0, gt=0)
    """Longest wait for a connection."""
    read_seconds: float = Field(120.0, gt=0)
    """Longest wait for a whole reply."""
    attempts: int = Field(6, ge=1)
    """Requests for one answer: 429, 5xx, timeouts and broken connections are tried again."""
    backoff_seconds: float = Field(0.5, gt=0)
    """Wait before the second attempt where the endpoint names none; it doubles with each. Half of it is drawn."""
    longest_wait_seconds: float = Field(60.0, gt=0)
    """An endpoint that wants us to wait longer than this is given up."""
    max_reply_bytes: int = Field(4 * 2**20, ge=1024)
    """Largest reply that is read."""

    @property
    def place(self) -> Place:
        return to_place(self.url)

    @model_validator(mode="after")
    def _key_is_safe(self) -> Self:
        place = self.place
        if self.key_env and place.scheme == "http" and not (place.local or self.key_in_clear):
            raise ValueError(
                f"the key in {self.key_env} would travel to {place.authority} in the clear: use https, "
                "or say `key_in_clear = true`"
            )
        return self


class OpenAiConfig(HttpConfig):
    """An endpoint that speaks OpenAI's chat completions; `/chat/completions` is added to its URL."""

    kind: Literal["openai"] = "openai"
    choices: int = Field(1, ge=1, le=128)
    """Most answers that are asked for in one request (`n`). Where the endpoint gives fewer, it is asked again."""
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls the longest answer."""
    unsupported: tuple[Literal["temperature", "seed"], ...] = ()
    """What the endpoint refuses to be told. It then answers as it likes, and so says the report."""

    @property
    def name(self) -> str:
        """As the ledger names the target."""
        return f"openai:{self.model}@{self.place.authority}"


class ImageTensor(_Model):
    """The input that takes the image's file, PNG, JPEG or WEBP, as it is."""

    name: str = Field("image", min_length=1)
    datatype: Literal["BYTES", "UINT8"] = "BYTES"
    """`BYTES`: one element with the whole file; `UINT8`: its bytes one by one."""
    shape: tuple[int, ...] = (1,)
    """-1, at most once, stands for what fits."""
    encoding: Literal["base64", "binary"] = "base64"
    """`base64`: as text in the JSON. `binary`: as it is, after the JSON, by the protocol's binary extension. KServe's
    own server takes binary `BYTES` for text, which no image is; send it `UINT8`, or base64."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.datatype == "UINT8" and self.encoding == "base64":
            raise ValueError("a UINT8 tensor travels in binary: set encoding to `binary`")
        _check_shape(self.shape, fixed=self.datatype == "BYTES")
        return self


class PromptTensor(_Model):
    """The input that takes the question, `BYTES` of one element."""

    name: str = Field("prompt", min_length=1)
    shape: tuple[int, ...] = (1,)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_shape(self.shape, fixed=True)
        return self


def _check_shape(shape: tuple[int, ...], *, fixed: bool) -> None:
    """Raises: ValueError if the shape can't be that of one element (`fixed`), or of as many as there are."""
    wild = shape.count(-1)
    if any(size != 1 for size in shape if size != -1) or wild > 1 or not (fixed or wild):
        wanted = "1, with at most one -1" if fixed else "1, with one -1"
        raise ValueError(f"shape {list(shape)}: all sizes must be {wanted}")


class Parameters(_Model):
    """What the request's parameters are called; None leaves one out."""

    temperature: str | None = "temperature"
    max_tokens: str | None = "max_tokens"
    seed: str | None = "seed"


class OipConfig(HttpConfig):
    """A model behind the Open Inference Protocol (KServe's REST v2), and how it wants to be asked; `/v2/models/...`
    is added to its URL."""

    kind: Literal["oip"] = "oip"
    version: str | None = Field(None, min_length=1)
    """Of the model, where the server keeps several."""
    image: ImageTensor = ImageTensor()
    prompt: PromptTensor = PromptTensor()
    parameters: Parameters = Parameters()
    output: str = Field("text", min_length=1)
    """The output, `BYTES`, whose one element is the answer."""

    @property
    def name(self) -> str:
        """As the ledger names the target."""
        return f"oip:{self.model}@{self.place.authority}"


TargetConfig = Annotated[OpenAiConfig | OipConfig, Field(discriminator="kind")]


class Allowed(_Model):
    """A place that may be called."""

    host: Annotated[str, AfterValidator(_checked_pattern)]
    """`host`, `host:port`, `host:*` or `*.domain`; without a port, 443 for https and 80 for http."""
    keys: tuple[Variable, ...] = ()
    """Environment variables whose values may be sent there."""


class TargetsConfig(_Model):
    """What foreign targets may make this process do."""

    allowed: tuple[Allowed, ...] = ()
    """Nothing else is called, and no redirect is followed."""
    private: bool = False
    """Let names on the list resolve to addresses of private networks."""
    named: Mapping[str, TargetConfig] = {}
    """Endpoints that may be called by these names, with all that is set here."""
    cache: str | None = Field(None, min_length=1)
    """File that answers are kept in; None keeps none."""

    @classmethod
    def only(cls, target: HttpConfig, cache: str | None = None) -> Self:
        """What somebody permits who calls on his own behalf: this target and nothing else."""
        place = target.place
        host = f"[{place.host}]" if ":" in place.host else place.host
        keys = (target.key_env,) if target.key_env else ()
        return cls(allowed=(Allowed(host=f"{host}:{place.port}", keys=keys),), private=True, cache=cache)
