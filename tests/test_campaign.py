"""A campaign of a few steps through the real processes, each of which is killed on the way, the conductor too."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from diffusers import AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional
from transformers import AutoModelForImageTextToText

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.journal import CampaignFinished, Journal
from sparring.ledgers.manifest import Manifest
from sparring.ledgers.records import Purpose
from sparring.ledgers.revision import ROLES, Role
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.config import NOISELESS
from sparring.policies.conditions import Condition
from sparring.policies.config import EditorConfig
from sparring.policies.editor import Editor
from sparring.policies.policy import Order
from sparring.policies.processor import open_processor

CAMPAIGN = "test"
EDITOR = Path(str(files("sparring.ops") / "small" / "editor"))
# The attacker is trained on one rank without ZeRO, the defender on two with ZeRO-2.
SETTINGS = (
    "attacker.phase.steps=3",
    "defender.phase.steps=4",
    "defender.phase.processes=2",
    "defender.phase.engine.zero_stage=2",
)
PATIENCE = 240.0
"""Seconds until something that must happen has not happened."""


def sparring(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sparring.ops.cli", *arguments]


def until(happened: Callable[[], bool], what: str) -> None:
    """Return once something outside this process has happened."""
    end, tick = time.monotonic() + PATIENCE, threading.Event()
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen within {PATIENCE:g} s"
        tick.wait(0.1)


def processes(run: Path, name: str = "") -> list[psutil.Process]:
    """Living processes of the campaign in `run`, those of one module if it is named."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        mine = any(word.startswith(str(run)) for word in words) and (not name or f"sparring.{name}" in words)
        if mine and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def kill(run: Path, name: str) -> None:
    until(lambda: bool(processes(run, name)), f"the start of {name}")
    processes(run, name)[-1].send_signal(signal.SIGKILL)


def revisions(run: Path, role: Role) -> list[Manifest]:
    return WeightsLedger(run).revisions(CAMPAIGN, role)


@contextmanager
def conductor(run: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A conductor as a process of its own; what it leaves behind is ended with the block."""
    with (run.parent / "output").open("ab") as output:
        process = subprocess.Popen(sparring(*arguments), stdout=output, stderr=output, env={**os.environ, "CI": "true"})
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_campaign_survives_the_death_of_every_process(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    with conductor(run, "run", "--preset", "test", "--out", str(run), *settings) as first:
        until(lambda: len(revisions(run, "attacker")) > 1 or first.poll() is not None, "the attacker's first step")
        assert first.poll() is None, (tmp_path / "output").read_text()[-2000:]
        kill(run, "attacker")
        kill(run, "referee")
        until(lambda: len(revisions(run, "defender")) > 1, "the defender's first step")
        kill(run, "defender")
        kill(run, "trainer")
        until(lambda: len(revisions(run, "defender")) > 2, "a step after the trainer's death")
    until(lambda: not processes(run), "the end of the conductor's children")

    acknowledged = {episode.episode_id for episode in EpisodeLedger(run).scan()}
    done = subprocess.run(sparring("resume", str(run)), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not processes(run)
    check_ledger(run, acknowledged)
    for role in ROLES:
        check_lineage(run, role)
    check_results(run)
    check_defender_opens(run, tmp_path / "cache")
    check_attacker_opens(run, tmp_path / "cache")
    check_defenders_compare(run, tmp_path / "checks")


def check_ledger(run: Path, acknowledged: set[str]) -> None:
    """Every episode is there once, nothing that was acknowledged is lost, and every group is whole."""
    episodes = list(EpisodeLedger(run).scan())
    ids = [episode.episode_id for episode in episodes]
    assert len(set(ids)) == len(ids)
    assert acknowledged <= set(ids)
    groups: dict[str, list[int]] = {}
    for episode in episodes:
        groups.setdefault(episode.group_id, []).append(episode.index)
    sizes = {episode.group_id: episode.group_size for episode in episodes}
    assert all(sorted(places) == list(range(sizes[group])) for group, places in groups.items())
    consumed = {group for role in ROLES for manifest in revisions(run, role) for group in manifest.consumed}
    assert consumed <= set(groups)


def check_lineage(run: Path, role: Role) -> None:
    """Along the ancestors of the last revision no group occurs twice, and steps count up from 1."""
    weights = WeightsLedger(run)
    newest = revisions(run, role)[-1]
    chain = list(weights.lineage(newest.name))[::-1]
    consumed = [group for manifest in chain for group in manifest.consumed]
    assert len(set(consumed)) == len(consumed)
    assert [manifest.step for manifest in chain] == list(range(len(chain)))
    numbers = [manifest.number for manifest in revisions(run, role)]
    assert numbers == sorted(set(numbers))


def check_results(run: Path) -> None:
    """The campaign has finished, and says what came of it."""
    assert isinstance(list(Journal(run, CAMPAIGN).entries())[-1], CampaignFinished)
    (summary,) = run.rglob("summary.json")
    found = json.loads(summary.read_text())
    assert {
        "before",
        "after",
        "difference",
        "phases",
        "seed",
        "wall_seconds",
        "peak_pss_bytes",
        "commit",
        "config",
    } <= set(found)
    for side in ("before", "after"):
        for measure in ("clean", "control", "robust", "asr", "validity"):
            assert set(found[side][measure]) == {"value", "low", "high", "n"}
    assert [phase["role"] for phase in found["phases"]] == ["attacker", "defender"]
    assert found["peak_pss_bytes"] > 0
    (report,) = run.rglob("report.html")
    assert "http://" not in report.read_text().replace("http://www.w3.org", "")


def check_defender_opens(run: Path, cache: Path) -> None:
    """Plain transformers give the answers that the service gave."""
    newest, ledger = revisions(run, "defender")[-1].name, EpisodeLedger(run)
    folder = WeightsLedger(run).fetch(newest, None, cache)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = open_processor(folder, min_pixels=1, max_pixels=2**20)
    played = [episode for episode in ledger.scan(purpose=Purpose.EVALUATE, defender=newest) if not episode.edit_id]
    samples = ledger.get_samples(episode.sample_id for episode in played)
    assert len(played) >= 12
    for episode in played:
        turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": episode.prompt}]}]
        text = processor.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        image = Image.open(io.BytesIO(samples[episode.sample_id].image))
        inputs = processor(images=[image], text=[text], return_tensors="pt")
        answer = model.generate(**inputs, do_sample=False, max_new_tokens=24)[:, inputs["input_ids"].shape[1] :]
        assert processor.batch_decode(answer, skip_special_tokens=True) == [episode.answers[0].text]


def check_attacker_opens(run: Path, cache: Path) -> None:
    """Plain diffusers make the edits of the suite that the service made."""
    newest, ledger = revisions(run, "attacker")[-1].name, EpisodeLedger(run)
    transformer = QwenImageTransformer2DModel.from_pretrained(WeightsLedger(run).fetch(newest, None, cache))
    vae = AutoencoderKLQwenImage.from_pretrained(EDITOR / "vae")
    conditioner = Editor(EditorConfig(base=str(EDITOR))).conditioner
    played = [episode for episode in ledger.scan(purpose=Purpose.EVALUATE) if episode.attacker == newest]
    edits = ledger.get_edits(episode.edit_id for episode in played if episode.edit_id)
    samples = ledger.get_samples(edit.sample_id for edit in edits.values())
    assert len(edits) >= 12
    for edit in edits.values():
        original = np.asarray(Image.open(io.BytesIO(samples[edit.sample_id].image)))
        (condition,) = conditioner.encode([Order(original, edit.instruction, edit.seed)])
        made = plain_decode(vae, plain_flow(transformer, condition, edit.seed))
        assert np.abs(np.asarray(Image.open(io.BytesIO(edit.image))) - made).max() <= 1


def check_defenders_compare(run: Path, folder: Path) -> None:
    """Two of its defenders are checked against its attackers and an attack without a model, on the same edits."""
    last = revisions(run, "defender")[-1].name
    asked = ["--target", str(run), "--data", "shapes:campaign?seed=9", "--limit", "6", "--max-tokens", "24"]
    edited = ["--attacks", f"untrained,{revisions(run, 'attacker')[-1].name},add", "--budget", "1"]
    for model in ("untrained", last):
        out = ["--model", model, "--out", str(folder / Path(model).name)]
        done = subprocess.run(sparring("check", *asked, *edited, *out), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads((folder / Path(last).name / "report.json").read_text())
    assert (report["asked"]["target"], report["samples"], report["semantic"]["missing"]) == (last, 6, 0)
    assert sum(part["edits"] for part in report["by_attack"]) == 18
    both = [str(folder / name) for name in ("untrained", Path(last).name)]
    done = subprocess.run(sparring("check", "--compare", *both), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert last in done.stdout


@torch.no_grad()
def plain_flow(transformer: QwenImageTransformer2DModel, condition: Condition, seed: int) -> torch.Tensor:
    """From the seed's noise along the velocity by diffusers' own Euler steps: packed latents [1, tokens, channels]."""
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(EDITOR / "scheduler")
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / NOISELESS.steps, NOISELESS.steps).tolist())
    x = torch.randn(1, *condition.original.shape, generator=torch.Generator().manual_seed(seed))
    for timestep in scheduler.timesteps:
        v = transformer(
            hidden_states=torch.cat([x, condition.original[None]], dim=1),
            timestep=timestep[None] / 1000,
            encoder_hidden_states=condition.text[None],
            encoder_hidden_states_mask=torch.ones(1, len(condition.text), dtype=torch.long),
            img_shapes=[[(1, *condition.grid)] * 2],
            return_dict=False,
        )[0][:, : x.shape[1]]
        x = scheduler.step(v, timestep, x, return_dict=False)[0]
    return x


@torch.no_grad()
def plain_decode(vae: AutoencoderKLQwenImage, final: torch.Tensor) -> NDArray[np.float32]:
    """Packed latents [1, tokens, channels] of a square image to its pixels, 0 to 255."""
    side = math.isqrt(final.shape[1])
    packed = final.transpose(1, 2).unflatten(2, (side, side))
    shape = (1, -1, 1, 1)
    mean, std = (torch.tensor(value).view(shape) for value in (vae.config.latents_mean, vae.config.latents_std))
    latents = functional.pixel_shuffle(packed, 2) * std + mean
    folded = vae.decode(latents[:, :, None]).sample[:, :, 0]
    signal = functional.pixel_shuffle(folded, math.isqrt(vae.config.input_channels // 3))[0].clamp(-1, 1)
    return ((signal + 1) * 127.5).round().permute(1, 2, 0).numpy()
