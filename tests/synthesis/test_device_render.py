# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames made whole and several at once on a device, held to those of the processor's own way.

Torch takes ``cpu:0`` for another device than ``cpu`` here, so the way through a card runs without one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cv2
from drawn_faces import drawn_face, drawn_points

torch = pytest.importorskip("torch")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from backend import au_scale  # noqa: E402
from backend.synthesis.small import device_check, device_render  # noqa: E402
from backend.synthesis.small.crop import resized, shot_crop  # noqa: E402
from backend.synthesis.small.device_paste import DevicePaste  # noqa: E402
from backend.synthesis.small.device_render import DeviceRenderer  # noqa: E402
from backend.synthesis.small.held_back import HeldBack  # noqa: E402
from backend.synthesis.small.network import NetworkConfig, SmallNetwork  # noqa: E402
from backend.synthesis.small.paste import Paste  # noqa: E402
from backend.synthesis.small.render import CropRenderer, render_frames  # noqa: E402
from backend.synthesis.small.runtime import TorchRuntime  # noqa: E402
from backend.synthesis.small.turn import _DEPTH  # noqa: E402
from backend.synthesis.small.weights import save_network  # noqa: E402
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT  # noqa: E402

pytestmark = pytest.mark.unit
DEVICE = "cuda" if torch.cuda.is_available() else "cpu:0"
Shot = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def stored(folder: Path, **choices: Any) -> Path:
    """A tiny network with weights that do something everywhere."""
    torch.manual_seed(0)
    network = SmallNetwork(NetworkConfig(widths=(8, 12, 16), embedding=16, **choices))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.03)
    save_network(network, folder / "small.safetensors", {"name": "test"})
    return folder / "small.safetensors"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy computer torch's threads wait for each other, a hundred times a frame."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> tuple[TorchRuntime, TorchRuntime]:
    """Of one network, frame by frame on the processor and in chunks on the device."""
    weights = stored(tmp_path_factory.mktemp("weights"))
    return TorchRuntime(weights), TorchRuntime(weights, DEVICE)


def shot(frames: int, scale: float, left: float, top: float, width: int, height: int) -> Shot:
    """A drawn face that speaks, blinks and sways; perhaps beyond the portrait's border."""
    ground = cv2.resize(
        np.random.default_rng(3).integers(0, 256, (9, 9, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    face = drawn_face(drawn_points(), int(scale))
    x, y = int(left), int(top)
    rows, columns = (slice(max(a, 0), min(a + int(scale), b)) for a, b in ((y, height), (x, width)))
    ground[rows, columns] = face[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    place = np.array([left, top])
    track = [
        (drawn_points(opening=0.1 * np.sin(row) ** 2, lids=1 - 0.9 * (row % 4 == 2)) + 0.01 * np.sin(row)) * scale + place
        for row in range(frames)
    ]
    aus = au_scale.as_keyed(np.random.default_rng(0).uniform(0, 5, (frames, 18)).astype(np.float32))  # drawn in the network's measure
    return ground, (drawn_points() * scale + place).astype(np.float32), np.asarray(track, np.float32), aus


def apart(first: list[np.ndarray], second: list[np.ndarray]) -> tuple[int, float]:
    """The largest difference in grey levels, and the share of values that differ."""
    assert len(first) == len(second)
    difference = np.abs(np.stack(first).astype(int) - np.stack(second))
    return int(difference.max()), float((difference > 0).mean())


SHOTS = {
    "small": (5, 200, 60, 20, 320, 240),
    "over the border": (4, 400, -70, -50, 380, 360),
    "of the network's side": (3, 355, 0, 0, 360, 360),
    "large": (3, 900, 60, 60, 1024, 1000),
}


@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize("name", SHOTS)
def test_chunks_are_the_frames_one_by_one(runtimes: tuple[TorchRuntime, TorchRuntime], name: str, size: int) -> None:
    given = shot(*SHOTS[name])
    films = [list(render_frames(*given, steps=1, size=size, runtime=runtime)) for runtime in runtimes]
    most, share = apart(*films)
    assert most <= 1 and share < 5e-4
    assert np.abs(films[0][0].astype(int) - films[0][1]).max() > 20  # something moves


def test_crops_are_the_processors_to_a_thousandth(runtimes: tuple[TorchRuntime, TorchRuntime]) -> None:
    portrait, points, track, aus = shot(6, 355, 0, 0, 360, 360)
    crop = shot_crop(points, track)
    whole = crop.cut(portrait)
    face, start = resized(whole, 256), crop.to_unit(points)
    single = CropRenderer(face, start, runtime=runtimes[0])
    device = DeviceRenderer(face, start, Paste(portrait, crop, whole), runtimes[1])
    assert np.abs(device.mistake[0].permute(1, 2, 0).cpu().numpy() - single.mistake).max() < 1e-5 < np.abs(single.mistake).max()
    for row in range(len(track)):
        expected = single.frame(crop.to_unit(track[row]), aus[row])
        frames = [device.prepare(crop.to_unit(track[row]), aus[row])]
        with runtimes[1].in_use():
            given = device.given(frames)
            field, determinant, _ = device.warps(given)
            seen = device.seen(given, field, determinant)
            moved, warped = device.moved(given, field, seen)
            assert np.abs(moved[0].permute(1, 2, 0).cpu().numpy() - expected.field).max() < 1e-5
            assert np.abs(warped[0].cpu().numpy() - expected.warped).max() < 1e-3
            pictures = device.painted(frames, torch.from_numpy(expected.warped).to(warped)[None], seen)
        assert np.abs(pictures[0].cpu().numpy() - expected.picture).max() < 1e-3


def test_what_is_held_back_is_told_alike(runtimes: tuple[TorchRuntime, TorchRuntime]) -> None:
    portrait, points, track, aus = shot(6, 200, 60, 20, 320, 240)
    eyes = np.linalg.norm(points[EYE_OUTER_LEFT] - points[EYE_OUTER_RIGHT])
    track[3] = points + _DEPTH[:, None] * np.array([0.7 * eyes, 0])  # turned too far
    middle = points.mean(0)
    track[4, :, 0] = middle[0] + (points[:, 0] - middle[0]) * np.where(points[:, 1] > middle[1], -1.2, 1.0)  # the lower half mirrored
    told = [HeldBack(), HeldBack()]
    films = [
        list(render_frames(portrait, points, track, aus, steps=1, runtime=runtime, held_back=held))
        for runtime, held in zip(runtimes, told, strict=True)
    ]
    assert told[0].turns.keys() == told[1].turns.keys() and 3 in told[0].turns
    assert told[0].folded.keys() == told[1].folded.keys() and 4 in told[0].folded
    assert told[1].folded[4] == pytest.approx(told[0].folded[4]) and told[1].sentences() == told[0].sentences()
    assert apart(*films)[0] <= 1


def test_a_range_is_that_of_the_whole_and_runs_are_alike(runtimes: tuple[TorchRuntime, TorchRuntime]) -> None:
    given = shot(12, 200, 60, 20, 320, 240)
    whole, again = (list(render_frames(*given, steps=2, runtime=runtimes[1])) for _ in range(2))
    assert len(whole) == 12 and all((a == b).all() for a, b in zip(whole, again, strict=True))
    part = list(render_frames(*given, steps=2, runtime=runtimes[1], first_frame=5, frame_count=4))
    most, share = apart(part, whole[5:9])
    assert most <= 1 and share < 1e-4
    assert not list(render_frames(*given, runtime=runtimes[1], first_frame=12))


def test_networks_that_look_back_are_run_frame_by_frame(tmp_path: Path) -> None:
    weights = stored(tmp_path, uses_previous=True)
    device = TorchRuntime(weights, DEVICE)
    assert not device.whole_frames
    given = shot(3, 200, 60, 20, 320, 240)
    assert apart(*(list(render_frames(*given, steps=1, runtime=one)) for one in (TorchRuntime(weights), device)))[0] <= 2


@pytest.mark.parametrize("trouble", ["other grey levels", "not implemented"])
def test_a_device_that_cannot_draw_leaves_it_to_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    def difference(device: str) -> float:
        if trouble == "not implemented":
            raise NotImplementedError("grid_sampler_2d is not implemented for this device")
        return 3.0

    monkeypatch.setattr(device_check, "difference", difference)
    with caplog.at_level(logging.WARNING):
        runtime = TorchRuntime(stored(tmp_path), DEVICE)
    assert not runtime.whole_frames and "processor" in caplog.text
    assert len(list(render_frames(*shot(2, 200, 60, 20, 320, 240), steps=1, runtime=runtime))) == 2


def test_the_check_of_a_device_sees_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_check.difference(DEVICE) < 0.01
    right = DevicePaste._sharp
    monkeypatch.setattr(DevicePaste, "_sharp", lambda self, *given: right(self, *given) + (self.device != "cpu"))
    assert device_check.difference(DEVICE) > 0.5


class _Operations(TorchDispatchMode):
    """Notes the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), more: Any = None) -> Any:
        self.names.append(function.overloadpacket.__name__)
        return function(*arguments, **(more or {}))


def test_a_chunk_is_waited_for_once(runtimes: tuple[TorchRuntime, TorchRuntime]) -> None:
    portrait, points, track, aus = shot(4, 200, 60, 20, 320, 240)
    crop = shot_crop(points, track)
    whole = crop.cut(portrait)
    renderer = DeviceRenderer(resized(whole, 256), crop.to_unit(points), Paste(portrait, crop, whole), runtimes[1])
    frames = [renderer.prepare(crop.to_unit(points), one) for points, one in zip(track, aus, strict=True)]
    assert any(frame.mouth for frame in frames)
    with _Operations() as operations:
        renderer(frames)
    # Numbers that the program looks at, here whether a face folds, keep it waiting for the card; so do numbers that it sends there.
    assert operations.names.count("_local_scalar_dense") + operations.names.count("is_nonzero") == 1
    assert operations.names.count("lift_fresh") <= 7 + sum(frame.mouth is not None for frame in frames)  # what ``Prepared`` holds
    assert "nonzero" not in operations.names


def test_all_that_is_worked_with_lies_on_the_device(runtimes: tuple[TorchRuntime, TorchRuntime], monkeypatch: pytest.MonkeyPatch) -> None:
    """On torch's device without numbers: whatever came from elsewhere would not fit."""
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda self: False)
    monkeypatch.setattr(device_render, "Rendered", lambda pixels, kept: (pixels, kept))
    portrait, points, track, aus = shot(3, 200, 60, 20, 320, 240)
    crop = shot_crop(points, track)
    whole = crop.cut(portrait)
    bare = _Bare()
    renderer = DeviceRenderer(resized(whole, 256), crop.to_unit(points), Paste(portrait, crop, resized(whole, 300)), bare)  # type: ignore[arg-type]
    pixels, kept = renderer([renderer.prepare(crop.to_unit(row), one) for row, one in zip(track, aus, strict=True)])
    assert pixels.device.type == kept.device.type == "meta" and pixels.shape == (3, *renderer.paste.shape)


class _Bare(TorchRuntime):
    def __init__(self) -> None:
        self.device = "meta"
        self._torch, self._recordings = torch, {}
        network = SmallNetwork(NetworkConfig(widths=(8, 12, 16), embedding=16)).to("meta").requires_grad_(False)
        self._trunk, self._denoiser = network.trunk, lambda *inputs: (network.denoiser(*inputs),)


def test_first_picture_comes_before_the_rest_is_drawn(runtimes: tuple[TorchRuntime, TorchRuntime], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    right = DeviceRenderer.__call__

    def counted(self: DeviceRenderer, frames: Any) -> Any:
        drawn.append(len(frames))
        return right(self, frames)

    monkeypatch.setattr(DeviceRenderer, "__call__", counted)
    frames: Iterator[np.ndarray] = render_frames(*shot(20, 200, 60, 20, 320, 240), steps=1, runtime=runtimes[1])
    next(frames)
    assert drawn == [1]
    next(frames)
    assert drawn == [1, 2, 4]
    frames.close()  # type: ignore[attr-defined]
    assert drawn == [1, 2, 4]


def test_a_card_with_little_memory_makes_fewer_frames_at_once(
    runtimes: tuple[TorchRuntime, TorchRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = shot(9, 200, 60, 20, 320, 240)
    expected = list(render_frames(*given, steps=1, runtime=runtimes[1]))
    right, most = DeviceRenderer.__call__, 2

    def small(self: DeviceRenderer, frames: Any) -> Any:
        if len(frames) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return right(self, frames)

    monkeypatch.setattr(DeviceRenderer, "__call__", small)
    largest, share = apart(list(render_frames(*given, steps=1, runtime=runtimes[1])), expected)
    assert largest <= 1 and share < 1e-4
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        next(render_frames(*given, steps=1, runtime=runtimes[1]))
