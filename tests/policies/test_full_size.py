"""The preset for full-size models, on the meta device: shapes, adapters and memory, without a byte of weights.

The configurations are those that the models are published with; nothing is fetched.
"""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from sparring.ops.config import CampaignConfig
from sparring.ops.layering import Layers
from sparring.policies.config import Adapter
from sparring.policies.mllm import VISION

GPU_BYTES = 80e9
BF16, ADAM = 2, 16
"""Bytes of a frozen parameter, and of a trained one with its gradient, master copy and two moments."""


@pytest.fixture(scope="module")
def preset() -> CampaignConfig:
    layers = Layers()
    layers.add_preset("qwen")
    return layers.build(CampaignConfig)


@pytest.fixture(scope="module")
def language_model() -> Qwen2_5_VLForConditionalGeneration:
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 3584,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        return Qwen2_5_VLForConditionalGeneration(config)


@pytest.fixture(scope="module")
def transformer() -> QwenImageTransformer2DModel:
    with torch.device("meta"):
        return QwenImageTransformer2DModel()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def adapted(module: nn.Module, adapter: Adapter, exclude: str | None) -> int:
    """Parameters of the adapter, from the shapes of the layers that its targets name."""
    config = LoraConfig(
        r=adapter.rank, lora_alpha=adapter.alpha, target_modules=list(adapter.targets), exclude_modules=exclude
    )
    with torch.device("meta"):
        wrapped = get_peft_model(module, config)
    trained = {name for name, value in wrapped.named_parameters() if value.requires_grad}
    for target in adapter.targets:
        assert any(f".{target}.lora_A" in name for name in trained), f"no layer is called {target}"
    total = sum(value.numel() for value in wrapped.parameters() if value.requires_grad)
    layers = [
        layer
        for name, layer in wrapped.named_modules()
        if isinstance(layer, nn.Linear) and name.endswith(".base_layer")
    ]
    assert total == sum(adapter.rank * (layer.in_features + layer.out_features) for layer in layers)
    wrapped.unload()
    return total


def test_the_defender_is_as_large_as_it_is_called_and_fits_a_gpu(
    preset: CampaignConfig, language_model: Qwen2_5_VLForConditionalGeneration
) -> None:
    assert count(language_model) == 8_292_166_656
    policy = preset.defender.policy
    assert policy.adapter is not None
    trained = adapted(language_model, policy.adapter, None if policy.train_vision else VISION)
    assert BF16 * count(language_model) + ADAM * trained < GPU_BYTES / 2


def test_the_attacker_with_its_text_encoder_fits_a_gpu(
    preset: CampaignConfig,
    transformer: QwenImageTransformer2DModel,
    language_model: Qwen2_5_VLForConditionalGeneration,
) -> None:
    assert 20.0e9 < count(transformer) < 20.9e9
    with torch.device("meta"):
        vae = AutoencoderKLQwenImage()
    policy = preset.attacker.policy
    assert policy.adapter is not None
    trained = adapted(transformer, policy.adapter, None)
    frozen = count(transformer) + count(language_model) + count(vae)
    assert BF16 * frozen + ADAM * trained < GPU_BYTES


def test_one_step_has_the_shapes_of_the_pipeline(
    preset: CampaignConfig,
    transformer: QwenImageTransformer2DModel,
    language_model: Qwen2_5_VLForConditionalGeneration,
) -> None:
    side = int(preset.attacker.policy.pixels**0.5) // 16
    tokens, width = side * side, language_model.config.text_config.hidden_size
    with torch.device("meta"):
        velocity = transformer.to(torch.bfloat16)(
            hidden_states=torch.empty(2, 2 * tokens, 64, dtype=torch.bfloat16),
            encoder_hidden_states=torch.empty(2, 40, width, dtype=torch.bfloat16),
            encoder_hidden_states_mask=torch.ones(2, 40, dtype=torch.long),
            timestep=torch.empty(2, dtype=torch.bfloat16),
            img_shapes=[[(1, side, side), (1, side, side)]] * 2,
            return_dict=False,
        )[0]
    assert velocity.shape == (2, 2 * tokens, 64)
