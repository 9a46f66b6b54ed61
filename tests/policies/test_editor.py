"""The editor with real components made small: rollout against logprob, batches, and plain diffusers and peft."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from peft import PeftModel

from sparring.policies.config import Adapter, EditorConfig, EditSampling, Variant
from sparring.policies.editor import Editor
from sparring.policies.policy import Order
from sparring.policies.vae import pack
from sparring.samples.pairs import instruct
from sparring.samples.shapes import Shapes, World, render

BASE = Path(str(files("sparring.ops") / "small" / "editor"))
SAMPLING = EditSampling(steps=5, window=2, window_first=0, window_last=2)


@pytest.fixture(scope="module")
def editor() -> Editor:
    torch.set_num_threads(1)
    return Editor(EditorConfig(base=str(BASE)))


def orders(count: int) -> list[Order]:
    shapes = Shapes(World(), 0, "test")
    scenes = [shapes.scene(index) for index in range(count)]
    return [Order(render(scene), instruct("add", scene), seed) for seed, scene in enumerate(scenes)]


def agrees(editor: Editor, plain: torch.nn.Module, order: Order) -> None:
    """Both find the same velocity for the same inputs."""
    (condition,) = editor.conditioner.encode([order])
    x = torch.randn(1, *condition.original.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = editor.velocity([order], x, torch.tensor([0.5]))
        theirs = plain(
            hidden_states=torch.cat([x, condition.original[None]], dim=1),
            encoder_hidden_states=condition.text[None],
            encoder_hidden_states_mask=torch.ones(1, len(condition.text), dtype=torch.long),
            timestep=torch.tensor([0.5]),
            img_shapes=[[(1, 4, 4), (1, 4, 4)]],
            return_dict=False,
        )[0][:, : x.shape[1]]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", ["flow_sde", "cps", "dance"])
def test_the_trainer_finds_the_probability_that_the_service_recorded(editor: Editor, variant: Variant) -> None:
    sampling = SAMPLING.model_copy(update={"variant": variant})
    acts = orders(6)
    edits = [edit for (edit,) in editor.rollout(acts, sampling, "base")]
    with torch.no_grad():
        scored = editor.logprob(acts, edits, sampling)
    recorded = np.stack([edit.trajectory.logprobs for edit in edits])
    np.testing.assert_allclose(scored.logprob.numpy(), recorded, atol=1e-5)


def test_an_edit_does_not_depend_on_its_batch(editor: Editor) -> None:
    acts = orders(4)
    together = [edit for (edit,) in editor.rollout(acts, SAMPLING, "base")]
    for act, edit in zip(acts, together, strict=True):
        ((alone,),) = editor.rollout([act], SAMPLING, "base")
        np.testing.assert_allclose(alone.trajectory.final, edit.trajectory.final, atol=1e-4)
        assert alone.trajectory.start == edit.trajectory.start


def test_images_of_several_sizes_come_back_at_their_own(editor: Editor) -> None:
    rng = np.random.default_rng(0)
    acts = [
        Order(rng.integers(0, 255, size=(height, width, 3)).astype(np.uint8), "change the scene", 0)
        for height, width in ((64, 64), (48, 96), (200, 100))
    ]
    edits = [edit for (edit,) in editor.rollout(acts, SAMPLING, "base")]
    assert [edit.image.shape for edit in edits] == [act.image.shape for act in acts]
    assert [image.shape for image in editor.control([act.image for act in acts])] == [a.image.shape for a in acts]


def test_a_window_is_recorded_where_it_starts(editor: Editor) -> None:
    edits = [edit for (edit,) in editor.rollout(orders(8), SAMPLING, "base")]
    starts = {edit.trajectory.start for edit in edits}
    assert starts <= {0, 1, 2}
    assert len(starts) > 1
    for edit in edits:
        assert edit.trajectory.latents.shape == (3, 16, 64)
        assert edit.trajectory.sigmas[0] == 1
        assert edit.trajectory.sigmas[-1] == 0


def test_velocity_and_decoding_are_those_of_plain_diffusers(editor: Editor, tmp_path: Path) -> None:
    editor.export(tmp_path)
    plain = QwenImageTransformer2DModel.from_pretrained(tmp_path)
    (order,) = orders(1)
    agrees(editor, plain, order)


def test_the_control_is_the_round_trip_of_plain_diffusers(editor: Editor) -> None:
    vae = AutoencoderKLQwenImage.from_pretrained(BASE / "vae", torch_dtype=torch.float32).eval()
    (order,) = orders(1)
    fold = int((vae.config.input_channels // 3) ** 0.5)
    signal = torch.from_numpy(order.image).permute(2, 0, 1)[None].float() / 127.5 - 1
    folded = torch.nn.functional.pixel_unshuffle(signal, fold)[:, :, None]
    with torch.no_grad():
        latents = vae.encode(folded).latent_dist.mode()
        decoded = torch.nn.functional.pixel_shuffle(vae.decode(latents).sample[:, :, 0], fold)
    pixels = ((decoded[0].clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy()
    difference = np.abs(editor.control([order.image])[0].astype(np.float32) - pixels)
    assert difference.max() <= 1
    mean, std = torch.tensor(vae.config.latents_mean), torch.tensor(vae.config.latents_std)
    normal = (latents[:, :, 0] - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(editor.encode([order.image])[0], pack(normal, 2)[0], atol=1e-4, rtol=1e-4)


def test_an_adapter_opens_with_plain_peft(tmp_path: Path) -> None:
    adapter = Adapter(rank=4, alpha=8, targets=("to_q", "to_v"))
    editor = Editor(EditorConfig(base=str(BASE), adapter=adapter))
    with torch.no_grad():
        for name, parameter in editor.trainable():
            if "lora_B" in name:
                parameter.normal_(std=0.02, generator=torch.Generator().manual_seed(1))
    editor.export(tmp_path)
    base = QwenImageTransformer2DModel.from_pretrained(BASE / "transformer", torch_dtype=torch.float32)
    plain = PeftModel.from_pretrained(base, tmp_path)
    (order,) = orders(1)
    agrees(editor, plain, order)
    editor.install("first", tmp_path)
    before = editor.rollout([order], SAMPLING, "base")[0][0].trajectory.final
    after = editor.rollout([order], SAMPLING, "first")[0][0].trajectory.final
    assert np.abs(before - after).max() > 1e-3


def test_a_window_that_reaches_the_last_step_is_refused() -> None:
    with pytest.raises(ValueError, match="never stochastic"):
        EditSampling(steps=4, window=2, window_first=0, window_last=3)
