"""Settings of targets."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from sparring.referee.targets.admission import BadTarget, admit
from sparring.referee.targets.config import (
    Allowed,
    ImageTensor,
    OipConfig,
    OpenAiConfig,
    PromptTensor,
    TargetConfig,
    TargetsConfig,
)


def openai(**settings: object) -> OpenAiConfig:
    return OpenAiConfig.model_validate({"url": "https://api.example.org/v1", "model": "m", **settings})


def test_a_kind_says_which_target_is_meant() -> None:
    read: TypeAdapter[OpenAiConfig | OipConfig] = TypeAdapter(TargetConfig)
    assert isinstance(read.validate_python({"kind": "oip", "url": "http://h", "model": "m"}), OipConfig)
    assert isinstance(read.validate_python({"kind": "openai", "url": "http://h", "model": "m"}), OpenAiConfig)


def test_the_ledger_names_a_target_by_its_model_and_host() -> None:
    assert openai(model="Qwen/Qwen2.5-VL").name == "openai:Qwen/Qwen2.5-VL@api.example.org"
    assert OipConfig(url="http://[::1]:8080", model="vqa").name == "oip:vqa@[::1]:8080"


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match="must not hold a user") as caught:
        openai(url="https://me:hunter2@api.example.org/v1")
    assert "hunter2" not in str(caught.value)


def test_a_key_does_not_travel_in_the_clear_unless_that_is_said() -> None:
    with pytest.raises(ValidationError, match="key_in_clear"):
        openai(url="http://gpu.example.org:8000/v1", key_env="KEY")
    openai(url="http://gpu.example.org:8000/v1", key_env="KEY", key_in_clear=True)
    openai(url="http://localhost:8000/v1", key_env="KEY")
    openai(url="http://[::1]:8000/v1", key_env="KEY")


@pytest.mark.parametrize(
    "settings", [{"key_env": "sk-123"}, {"choices": 0}, {"attempts": 0}, {"temperature": 1}, {"unsupported": ["n"]}]
)
def test_nonsense_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        openai(**settings)


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ({"shape": [1]}, True),
        ({"shape": [1, 1]}, True),
        ({"shape": [-1]}, True),
        ({"shape": [2]}, False),
        ({"shape": [-1, -1]}, False),
        ({"datatype": "UINT8", "encoding": "binary", "shape": [1, -1]}, True),
        ({"datatype": "UINT8", "encoding": "binary", "shape": [1]}, False),
        ({"datatype": "UINT8", "shape": [-1]}, False),
    ],
)
def test_a_shape_must_be_that_of_one_image(settings: dict[str, object], fits: bool) -> None:
    if fits:
        ImageTensor.model_validate(settings)
        return
    with pytest.raises(ValidationError):
        ImageTensor.model_validate(settings)


def test_a_prompt_is_one_element() -> None:
    with pytest.raises(ValidationError, match="all sizes must be 1"):
        PromptTensor(shape=(3,))


def test_only_what_is_on_the_list_is_admitted() -> None:
    rules = TargetsConfig(allowed=(Allowed(host="*.example.org"), Allowed(host="localhost:*")))
    assert admit(openai(), rules).place.host == "api.example.org"
    with pytest.raises(BadTarget, match=r"other\.org is not on the allow-list of targets, which has \*\.example\.org"):
        admit(openai(url="https://other.org"), rules)
    with pytest.raises(BadTarget, match="which has nothing"):
        admit(openai(), TargetsConfig())


def test_a_key_goes_only_where_the_list_lets_it_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " sk-123\n")
    monkeypatch.setenv("AWS_SECRET", "do not tell")
    rules = TargetsConfig(allowed=(Allowed(host="api.example.org", keys=("MY_KEY",)), Allowed(host="b.org")))
    admission = admit(openai(key_env="MY_KEY"), rules)
    assert admission.key == "sk-123"
    assert "sk-123" not in repr(admission)
    for settings in ({"key_env": "AWS_SECRET"}, {"key_env": "MY_KEY", "url": "https://b.org"}):
        with pytest.raises(BadTarget, match="does not let"):
            admit(openai(**settings), rules)


@pytest.mark.parametrize(("value", "why"), [(None, "is not set"), ("", "is not set"), ("a b", "holds no key")])
def test_a_key_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, value: str | None, why: str) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    config = openai(key_env="MY_KEY")
    with pytest.raises(BadTarget, match=f"MY_KEY.*{why}"):
        admit(config, TargetsConfig.only(config))


def test_authorities_that_are_none_are_told() -> None:
    config = openai(roots="/no/such/file.pem")
    with pytest.raises(BadTarget, match=r"roots: /no/such/file\.pem"):
        admit(config, TargetsConfig.only(config))


def test_settings_are_read_without_the_libraries_that_do_the_work() -> None:
    code = "import sys, sparring.referee.targets.config; print([m for m in ('httpcore2', 'grpc') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
