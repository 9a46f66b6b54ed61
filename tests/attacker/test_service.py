from __future__ import annotations

import asyncio
import io
import threading
from importlib.resources import files

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from PIL import Image
from skimage import data

from sparring.attacker.procedural import Attacked
from sparring.attacker.space import NoRoom
from sparring.policies.config import EditorConfig, EditSampling
from sparring.policies.editor import Editor
from sparring.samples.images import decode, encode_png
from sparring.samples.shapes import Shapes, World
from sparring.serving.tensors import from_proto
from sparring.v1 import attacker_pb2, sample_pb2, weights_pb2
from sparring.v1.weights_pb2_grpc import WeightsStub


def pixels(png: bytes) -> np.ndarray:
    return decode(png, max_pixels=10**7, max_bytes=10**7)


async def refusal(running, request) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.edit(request)
    return caught.value


def detail(error, message):
    """The one detail of the type of `message`, unpacked into it."""
    packed = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert any(any_.Unpack(message) for any_ in packed.details)
    return message


def lost(running, reason: str) -> float:
    return running.registry.get_sample_value("sparring_queue_lost_total", {"queue": "edits", "reason": reason}) or 0


async def test_the_control_comes_first_and_edits_in_the_order_of_the_seeds(launch, request_edit, picture):
    async with launch() as running:
        control, *edits = await running.edit(request_edit(3, 1, 2, control=True))
    np.testing.assert_array_equal(pixels(control.control.image), picture + 1)
    assert [response.edit.index for response in edits] == [0, 1, 2]
    assert [np.unique(pixels(response.edit.image)).tolist() for response in edits] == [[3], [1], [2]]
    assert {response.edit.kind for response in edits} == {attacker_pb2.EDIT_KIND_SEMANTIC}
    assert {response.edit.revision.name for response in edits} == {"base"}
    assert not any(response.edit.HasField("trajectory") for response in edits)
    assert [size for _, _, size in running.policy.batches] == [1, 3]


async def test_settings_arrive_as_they_were_sent(launch, request_edit):
    async with launch() as running:
        await running.edit(request_edit(1))
    sampling = EditSampling(
        steps=4, variant="flow_sde", noise_level=0.7, window=2, window_first=0, window_last=1, guidance=1
    )
    assert running.policy.batches == [("base", sampling, 1)]


async def test_trajectories_come_if_asked_for(launch, request_edit):
    request = request_edit(5)
    request.learned.trajectory = True
    async with launch() as running:
        (response,) = await running.edit(request)
    path = response.edit.trajectory
    np.testing.assert_array_equal(from_proto(path.sigmas, 10), np.linspace(1, 0, 5, dtype=np.float32))
    np.testing.assert_array_equal(from_proto(path.latents, 100), np.full((3, 4, 2), 5, np.float32))
    np.testing.assert_array_equal(from_proto(path.final, 100), np.full((4, 2), 7, np.float32))
    np.testing.assert_array_equal(from_proto(path.logprobs, 10), np.full(2, 0.5, np.float32))
    assert path.start == 1


async def test_a_control_is_made_once(launch, request_edit, request_attack):
    async with launch() as running:
        first, *_ = await running.edit(request_edit(1, control=True))
        second, *_ = await running.edit(request_edit(2, control=True))
        third, *_ = await running.edit(request_attack("noise", 1, control=True))
    assert first == second == third
    assert [name for name, _, _ in running.policy.batches] == ["control", "base", "base"]


async def test_groups_of_several_callers_share_batches(launch, request_edit, painter):
    async with launch(painter, batch=16) as running:
        first = asyncio.create_task(running.edit(request_edit(0)))
        assert await asyncio.to_thread(painter.entered.wait, 30)
        others = [asyncio.create_task(running.edit(request_edit(seed, seed + 1))) for seed in (10, 20, 30)]
        while running.registry.get_sample_value("sparring_queue_depth", {"queue": "edits"}) < 6:
            await asyncio.sleep(0.001)
        painter.gate.set()
        await first
        groups = await asyncio.gather(*others)
    assert [size for _, _, size in painter.batches] == [1, 6]
    assert [[int(pixels(r.edit.image).max()) for r in group] for group in groups] == [[10, 11], [20, 21], [30, 31]]


async def test_a_caller_who_leaves_takes_its_edits_out_of_the_queue(launch, request_edit, painter):
    async with launch(painter, batch=1) as running:
        call = running.stub.Edit(request_edit(*range(8), control=True))
        assert await asyncio.to_thread(painter.entered.wait, 30)
        call.cancel()
        while running.registry.get_sample_value("sparring_queue_depth", {"queue": "edits"}):
            await asyncio.sleep(0.001)
        painter.gate.set()
    assert len(painter.batches) == 1


class Turnstile(threading.Event):
    """A gate that lets so many through before it is set."""

    def __init__(self, through: int) -> None:
        super().__init__()
        self._through = through

    def wait(self, timeout: float | None = None) -> bool:
        if self._through:
            self._through -= 1
            return True
        return super().wait(timeout)


async def test_a_stream_that_is_left_half_read_is_counted_and_does_no_harm(launch, request_edit, painter):
    labels = {"grpc_type": "server_stream", "grpc_service": "sparring.v1.Attacker", "grpc_method": "Edit"}

    def count(name: str, **more: str) -> float:
        return running.registry.get_sample_value(name, {**labels, **more}) or 0

    painter.gate = Turnstile(1)
    async with launch(painter, batch=1) as running:
        call = running.stub.Edit(request_edit(*range(50)))
        assert (await call.read()).edit.index == 0
        call.cancel()
        async with asyncio.timeout(30):
            while count("grpc_server_handled_total", grpc_code="Cancelled") < 1:
                await asyncio.sleep(0.001)
        painter.gate.set()
        assert len(await running.edit(request_edit(1, 2, 3))) == 3
        assert count("grpc_server_handled_total", grpc_code="OK") == 1
        assert 4 <= count("grpc_server_msg_sent_total") < 53
    assert len(painter.batches) < 53


async def test_a_full_queue_refuses_a_whole_group_with_a_time_to_retry(launch, request_edit, painter):
    async with launch(painter, batch=1, limit=4) as running:
        first = asyncio.create_task(running.edit(request_edit(0, 1, 2)))
        assert await asyncio.to_thread(painter.entered.wait, 30)
        error = await refusal(running, request_edit(3, 4, 5))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert detail(error, RetryInfo()).retry_delay.ToMilliseconds() > 0
        error = await refusal(running, request_edit(*range(5)))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert detail(error, ErrorInfo()).reason == "TOO_LARGE"
        painter.gate.set()
        assert len(await first) == 3
    assert lost(running, "refused") == 8


async def test_a_deadline_ends_the_wait(launch, request_edit, painter):
    async with launch(painter) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in running.stub.Edit(request_edit(1), timeout=0.1):
                pass
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        painter.gate.set()
        assert len(await running.edit(request_edit(1))) == 1


@pytest.mark.parametrize(("instruction", "sends_trajectory"), [("break", False), ("nan", True)])
async def test_a_broken_editor_is_internal_and_the_next_call_goes_on(
    launch, request_edit, instruction, sends_trajectory
):
    request = request_edit(1, 2)
    request.learned.instruction, request.learned.trajectory = instruction, sends_trajectory
    async with launch() as running:
        error = await refusal(running, request)
        assert error.code() is grpc.StatusCode.INTERNAL
        assert len(await running.edit(request_edit(1))) == 1


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "GIF")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "image",
    [
        b"not an image",
        gif(),
        encode_png(np.zeros((8, 8, 3), np.uint8))[:40],
        encode_png(np.zeros((65, 64, 3), np.uint8)),
        encode_png(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)),
    ],
    ids=["bytes", "gif", "truncated", "pixels", "size"],
)
async def test_a_bad_image_is_refused_and_named(launch, request_edit, image):
    async with launch() as running:
        error = await refusal(running, request_edit(1, image=image))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = detail(error, BadRequest()).field_violations
    assert (violation.field, violation.reason) == ("image", "BAD_IMAGE")


async def test_settings_that_do_not_go_together_are_refused(launch, request_edit):
    request = request_edit(1)
    request.learned.sampling.window_last = 3
    async with launch() as running:
        error = await refusal(running, request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = detail(error, BadRequest()).field_violations
    assert violation.field == "learned.sampling"
    assert "reaches the last of 4 steps" in violation.description


async def test_a_revision_that_is_not_loaded_is_refused_and_those_that_are_named(launch, request_edit):
    request = request_edit(1, control=True)
    request.learned.revision.name = "demo/attacker/000007"
    async with launch() as running:
        error = await refusal(running, request)
        assert running.policy.batches == []
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "loaded are: ['base']" in error.details()


async def test_procedural_edits_follow_from_the_seed_and_keep_off_targets(launch, request_attack, picture):
    target = sample_pb2.Target(name="a cat", box=sample_pb2.Box(x=0, y=0, width=16, height=24))
    async with launch() as running:
        request = request_attack("add", 4, 2**64 - 1, 4, targets=[target])
        edits = [response.edit for response in await running.edit(request)]
    assert [edit.index for edit in edits] == [0, 1, 2]
    assert edits[0].image == edits[2].image != edits[1].image
    assert not edits[0].HasField("revision")
    for edit in edits:
        np.testing.assert_array_equal(pixels(edit.image)[:, :16], picture[:, :16])
    assert running.policy.batches == []


async def test_noise_is_a_corruption(launch, request_attack):
    async with launch() as running:
        (response,) = await running.edit(request_attack("noise", 1))
    assert response.edit.kind == attacker_pb2.EDIT_KIND_CORRUPTION


async def test_an_attack_that_is_unknown_is_refused(launch, request_attack):
    async with launch() as running:
        error = await refusal(running, request_attack("sing", 1, control=True))
        assert running.policy.batches == []
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = detail(error, BadRequest()).field_violations
    assert (violation.field, violation.reason) == ("procedural.name", "UNKNOWN_ATTACK")


@pytest.mark.parametrize(
    ("attack", "kind", "reason"),
    [
        ("recolour", attacker_pb2.EDIT_KIND_SEMANTIC, "nothing stands out away from the 1 targets"),
        ("add", attacker_pb2.EDIT_KIND_SEMANTIC, "1 targets leave no 4 x 4 pixels"),
        ("crop", attacker_pb2.EDIT_KIND_CORRUPTION, "1 targets leave nothing to cut off"),
        ("shift", attacker_pb2.EDIT_KIND_CORRUPTION, "1 targets leave no way to shift"),
    ],
)
async def test_an_attack_that_finds_nothing_to_do_says_so_for_each_seed(launch, request_attack, attack, kind, reason):
    everywhere = sample_pb2.Target(name="a cat", box=sample_pb2.Box(x=0, y=0, width=32, height=24))
    async with launch() as running:
        control, *rest = await running.edit(request_attack(attack, 1, 2, targets=[everywhere], control=True))
    assert control.HasField("control")
    assert [(reply.no_edit.index, reply.no_edit.kind) for reply in rest] == [(0, kind), (1, kind)]
    assert all(reply.no_edit.reason.startswith(reason) for reply in rest)


async def test_the_other_edits_of_a_group_go_on(launch, request_attack, monkeypatch):
    def moody(image: np.ndarray, targets: object, rng: np.random.Generator) -> Attacked:
        if rng.random() < 0.5:
            raise NoRoom("not today")
        return Attacked(image, "semantic")

    monkeypatch.setattr("sparring.attacker.service.find_attack", lambda name: moody)
    async with launch() as running:
        replies = await running.edit(request_attack("moody", *range(20)))
    found = [reply.WhichOneof("result") for reply in replies]
    expected = ["no_edit" if np.random.default_rng(seed).random() < 0.5 else "edit" for seed in range(20)]
    assert found == expected
    assert [(reply.edit if reply.HasField("edit") else reply.no_edit).index for reply in replies] == [*range(20)]
    assert set(found) == {"edit", "no_edit"}


async def test_without_an_editor_the_control_is_the_original_and_learned_attacks_are_refused(
    launch_bare, request_attack, request_edit, picture
):
    async with launch_bare() as running:
        control, edit = await running.edit(request_attack("noise", 1, control=True))
        error = await refusal(running, request_edit(1, control=True))
        with pytest.raises(grpc.aio.AioRpcError) as weights:
            await WeightsStub(running.channel).GetState(weights_pb2.GetStateRequest(), timeout=30)
    np.testing.assert_array_equal(pixels(control.control.image), picture)
    assert edit.edit.kind == attacker_pb2.EDIT_KIND_CORRUPTION
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "set `editor` in its configuration" in error.details()
    assert weights.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_with_an_editor_the_same_attack_gives_the_same_edit(launch, launch_bare, request_attack):
    async with launch() as running, launch_bare() as bare:
        request = request_attack("add", 1, 2)
        assert await running.edit(request) == await bare.edit(request)


async def test_the_small_editor_edits_scenes_and_photographs(launch, request_edit):
    editor = Editor(EditorConfig(base=str(files("sparring.ops") / "small" / "editor")))
    scene = Shapes(World(), 0, "test").sample(0).image
    photograph = encode_png(np.ascontiguousarray(data.astronaut()[::12, ::16]))
    async with launch(editor) as running:
        groups = await asyncio.gather(
            *(running.edit(request_edit(1, 2, image=image, control=True)) for image in (scene, photograph))
        )
        (again,) = await running.edit(request_edit(2, image=photograph))
    for image, (control, first, second) in zip((scene, photograph), groups, strict=True):
        assert pixels(control.control.image).shape == pixels(image).shape
        assert pixels(first.edit.image).shape == pixels(image).shape
        assert first.edit.image != second.edit.image
    assert np.abs(pixels(again.edit.image).astype(int) - pixels(groups[1][2].edit.image)).max() <= 1
