"""Residents against plain transformers and peft: what is resident answers as what was saved."""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sparring.policies.config import Adapter
from sparring.policies.residents import BASE, NotInstalled, Residents

TOKENS = torch.arange(12).view(2, 6)
ADAPTER = Adapter(rank=4, alpha=8, targets=("q_proj", "v_proj"))


def network(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    found: torch.Tensor = model(TOKENS).logits
    return found


def load(folder: Path) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(folder)


def residents(adapter: Adapter | None = None) -> Residents[LlamaForCausalLM]:
    return Residents(network(0), load, adapter)


def shown(held: Residents[LlamaForCausalLM], name: str) -> torch.Tensor:
    with held.use(name) as model:
        assert not model.training
        return logits(model)


def adapter_folder(folder: Path, seed: int) -> torch.Tensor:
    """Save an adapter with an effect; returns the logits that base and adapter give under plain peft."""
    torch.manual_seed(seed)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = peft.get_peft_model(network(0), config).eval()
    model.save_pretrained(str(folder))
    return logits(model)


def test_whole_weights_stay_apart(tmp_path: Path) -> None:
    held = residents()
    for seed in (1, 2):
        network(seed).save_pretrained(tmp_path / str(seed))
        held.install(f"campaign/defender/{seed}", tmp_path / str(seed))
    for seed in (1, 2):
        torch.testing.assert_close(shown(held, f"campaign/defender/{seed}"), logits(network(seed)))
    torch.testing.assert_close(shown(held, BASE), logits(network(0)))


def test_adapters_share_the_base_and_stay_apart(tmp_path: Path) -> None:
    held = residents()
    expected = {f"v{seed}.0": adapter_folder(tmp_path / str(seed), seed) for seed in (1, 2, 3)}
    for seed, name in enumerate(expected, start=1):
        held.install(name, tmp_path / str(seed))
    for name, value in expected.items():
        torch.testing.assert_close(shown(held, name), value)
    torch.testing.assert_close(shown(held, BASE), logits(network(0)))
    held.remove("v2.0")
    torch.testing.assert_close(shown(held, "v3.0"), expected["v3.0"])
    assert held.names == {BASE, "v1.0", "v3.0"}


def test_names_are_never_used_again(tmp_path: Path) -> None:
    held = residents()
    network(1).save_pretrained(tmp_path)
    held.install("1", tmp_path)
    held.remove("1")
    with pytest.raises(ValueError, match="used before"):
        held.install("1", tmp_path)
    with pytest.raises(NotInstalled, match=r"'1' is not installed; installed are \['base'\]"), held.use("1"):
        pass
    with pytest.raises(NotInstalled):
        held.remove(BASE)


def test_a_failed_install_leaves_the_name_free(tmp_path: Path) -> None:
    held = residents()
    with pytest.raises(OSError, match="no file named"):
        held.install("1", tmp_path)
    network(1).save_pretrained(tmp_path)
    held.install("1", tmp_path)


def test_the_learner_survives_the_use_of_others(tmp_path: Path) -> None:
    held = residents(ADAPTER)
    adapter_folder(tmp_path / "other", 5)
    trained = [p for p in held.learner().parameters() if p.requires_grad]
    held.install("other", tmp_path / "other")
    shown(held, "other")
    shown(held, BASE)
    again = [p for p in held.learner().parameters() if p.requires_grad]
    assert len(trained) == 8
    assert all(a is b for a, b in zip(trained, again, strict=True))


@pytest.mark.parametrize("adapter", [ADAPTER, None])
def test_an_exported_learner_opens_with_the_plain_libraries(tmp_path: Path, adapter: Adapter | None) -> None:
    held = residents(adapter)
    with torch.no_grad():
        for parameter in held.learner().parameters():
            parameter.add_(0.05 * parameter.requires_grad)
    expected = logits(held.learner())
    held.export(tmp_path)
    plain = load(tmp_path) if adapter is None else peft.PeftModel.from_pretrained(network(0), str(tmp_path))
    torch.testing.assert_close(logits(plain.eval()), expected)
    assert not list(tmp_path.glob("*.bin"))
    assert not list(tmp_path.glob("*.md"))

    fresh = residents(adapter)
    fresh.adopt(tmp_path)
    torch.testing.assert_close(logits(fresh.learner()), expected)
