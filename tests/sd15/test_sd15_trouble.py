# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on other people's machines: memory that runs out in many words, broken files, jobs that end while weights are read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import nn  # noqa: E402

from backend.synthesis.sd15 import devices, engine, memory, tier  # noqa: E402
from backend.synthesis.sd15.checkpoints import open_checkpoint  # noqa: E402
from backend.synthesis.sd15.models import Models  # noqa: E402
from backend.synthesis.sd15.pipeline import Film, Sd15Pipeline  # noqa: E402
from bridge.faults import Fault  # noqa: E402
from bridge.shot import RenderSettings  # noqa: E402

pytestmark = pytest.mark.unit
SETTINGS = RenderSettings(tier="sd15", preset="draft", sd15_steps=1)
FULL = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    MemoryError(),
)


@pytest.fixture(autouse=True)
def own(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the tiny weights as the user's own, an empty cache, nothing loaded before or afterwards."""
    folder = Path(shutil.copytree(tiny_weights, tmp_path / "own"))
    monkeypatch.setenv("AUTTER_SD15", str(folder))
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    tier.free()
    yield folder
    tier.free()


def shot(frames: int, height: int = 96, width: int = 96) -> tuple[Any, Any, Any]:
    """A made-up portrait (height, width, 3), its landmarks and a track."""
    from backend.benchmark.synthesis import synthetic_shot

    portrait, points, track = synthetic_shot(max(height, width), frames)
    shift = np.float32([(width - height) / 2 if height > width else 0, (height - width) / 2 if width > height else 0])
    return portrait[:height, :width], points + shift, track + shift


def render(given: tuple[Any, Any, Any], settings: RenderSettings = SETTINGS, **choices: Any) -> list[Any]:
    return list(tier.render_rows(*given, tier.Rendering(tier.outlook(settings)), **choices))


@pytest.mark.parametrize("error", FULL, ids=lambda error: str(error)[:24])
def test_a_full_memory_is_known_in_many_words(error: Exception) -> None:
    assert memory.is_full(error)
    assert not memory.is_full(RuntimeError("The size of tensor a (4) must match the size of tensor b (5)"))
    assert not memory.is_full(Fault("out-of-memory", "Out of memory."))


@pytest.mark.parametrize("place", ["reference", "networks", "decoding"])
def test_wherever_memory_runs_out_the_next_plan_goes_on(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[str] = []

    def once(given: Any) -> Any:
        def call(*arguments: Any, **choices: Any) -> Any:
            if not raised:
                raised.append(place)
                raise RuntimeError("CUDA error: out of memory")
            return given(*arguments, **choices)

        return call

    owner, name = {"reference": (engine, "_make_bank"), "networks": (engine, "_load"), "decoding": (Sd15Pipeline, "decode")}[place]
    monkeypatch.setattr(owner, name, once(getattr(owner, name)))
    rendering = tier.Rendering(tier.outlook(SETTINGS))
    assert len(list(tier.render_rows(*shot(2), rendering))) == 2
    assert raised and [note for note in rendering.notes if "went on with a cheaper plan" in note]


def test_other_errors_are_not_taken_for_a_full_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Sd15Pipeline, "decode", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        render(shot(2))


class Mover(nn.Module):
    """Remembers where it was sent."""

    def __init__(self, name: str, places: dict[str, str]) -> None:
        super().__init__()
        self.name, self.places = name, places

    def to(self, device: Any) -> Mover:  # type: ignore[override]
        self.places[self.name] = str(device)
        return self

    def forward(self, value: int) -> int:
        assert self.places[self.name] == "card"
        return value + 1


def test_never_two_networks_lie_on_the_card_when_they_take_turns() -> None:
    places: dict[str, str] = {}
    pose, denoiser, decoder = (Mover(name, places) for name in ("pose", "denoiser", "decoder"))
    devices.take_turns([pose, decoder, denoiser], "card")
    assert set(places.values()) == {"cpu"}
    for network in (pose, denoiser, denoiser, decoder, denoiser, pose, denoiser, denoiser, decoder):
        assert network(1) == 2
        assert [name for name, place in places.items() if place == "card"] == [network.name]


def test_autoencoders_take_their_turn_when_they_decode(tiny_echo: Models) -> None:
    """``decode`` is no ``forward``: diffusers calls the hook itself."""
    import copy

    called: list[str] = []
    vae, small = copy.deepcopy(tiny_echo.vae), copy.deepcopy(tiny_echo.tiny_decoder)
    assert small is not None
    for name, network in (("vae", vae), ("small", small)):
        network.to = lambda device, name=name, network=network: (called.append(f"{name} {device}"), network)[1]  # type: ignore[method-assign]
    devices.take_turns([vae, small], "meta")
    called.clear()
    for network in (vae, small, vae):
        network.decode(torch.zeros(1, 4, 2, 2))
    assert called == ["vae meta", "vae cpu", "small meta", "small cpu", "vae meta"]


def test_a_machine_that_cannot_compile_runs_the_denoiser_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("Cannot find a working triton installation")

    monkeypatch.setattr(torch, "compile", lambda network, **_: broken)
    call = devices.compiled(nn.Identity())
    assert torch.equal(call(torch.ones(2)), torch.ones(2)) and torch.equal(call(torch.zeros(2)), torch.zeros(2))
    assert sum("could not be compiled" in record.message for record in caplog.records) == 1

    def full(*_: Any) -> Any:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch, "compile", lambda network, **_: full)
    with pytest.raises(RuntimeError, match="out of memory"):  # the next plan's affair
        devices.compiled(nn.Identity())(torch.ones(2))


def test_a_shape_too_many_runs_as_it_is_and_the_others_stay_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch compiles a function for eight shapes; a ninth, of a shot that is shorter than a window, must not end a render."""

    def fast(value: torch.Tensor) -> torch.Tensor:
        if len(value) == 3:
            raise RuntimeError("Hit recompile_limit with fullgraph=True")
        return value + 1

    monkeypatch.setattr(torch, "compile", lambda network, **_: fast)
    call = devices.compiled(nn.Identity())
    assert [call(torch.zeros(length)).tolist() for length in (2, 3, 2, 3)] == [[1, 1], [0, 0, 0], [1, 1], [0, 0, 0]]


def test_a_compiled_answer_is_not_written_over_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    memory_of_the_graph = torch.zeros(2)
    monkeypatch.setattr(torch, "compile", lambda network, **_: lambda value: memory_of_the_graph.copy_(value))
    call = devices.compiled(nn.Identity())
    first, second = call(torch.ones(2)), call(torch.full((2,), 2.0))
    assert first.tolist() == [1, 1] and second.tolist() == [2, 2]


def test_compiling_is_for_cards_that_are_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.COMPILE_VARIABLE, "1")
    assert devices.compile_wanted("cuda") and not devices.compile_wanted("cpu")
    monkeypatch.setenv(devices.COMPILE_VARIABLE, "0")
    assert not devices.compile_wanted("cuda")


def test_loaded_networks_count_as_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1_000_000)
    before = tier.outlook(SETTINGS)
    render(shot(1))
    after = tier.outlook(SETTINGS)
    held = tier._the_engine().bytes
    assert before.free == 1_000_000 and "may not be enough" in before.sentence
    assert held > 5_000_000 and after.free == 1_000_000 + held


def test_loaded_networks_make_room_for_a_new_portraits_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    render(shot(1))
    loaded: list[bool] = []
    make = engine._make_bank
    monkeypatch.setattr(engine, "_make_bank", lambda *given: (loaded.append(tier._the_engine().loaded), make(*given))[1])
    for free, kept in ((10**12, True), (10, False)):
        monkeypatch.setattr(engine, "free_bytes", lambda device, free=free: free)
        portrait, points, track = shot(1)
        render((np.roll(portrait, free % 7 + 1, 0), points, track))
        assert loaded.pop() is kept


@pytest.mark.parametrize(("height", "width", "frames"), [(97, 131, 1), (131, 97, 2), (40, 30, 1)])
def test_odd_portraits_and_shots_of_a_frame_or_two(height: int, width: int, frames: int) -> None:
    given = shot(frames, height, width)
    made = render(given)
    assert [frame.shape for frame in made] == [(height, width, 3)] * frames and not np.array_equal(made[0], given[0])


def test_the_last_frames_of_a_shot_alone_are_the_wholes() -> None:
    given = shot(26)  # two frames into the second window
    whole = render(given)
    assert np.array_equal(render(given, first_frame=25)[0], whole[25])
    pair = render(given, first_frame=23, frame_count=2)
    assert all(np.array_equal(one, two) for one, two in zip(pair, whole[23:25], strict=True))


def test_a_draft_without_the_small_decoder_uses_the_large_one(own: Path) -> None:
    shutil.rmtree(own / "tiny_decoder")
    assert not tier.outlook(SETTINGS).settings.tiny_decoder and len(render(shot(1))) == 1


@pytest.mark.parametrize(("trouble", "code"), [("cut", "sd15-file"), ("misshapen", "sd15-keys"), ("other file", "sd15-keys")])
def test_a_broken_file_of_weights_is_a_sentence_that_names_it(trouble: str, code: str, own: Path) -> None:
    file = own / "denoising_unet_pose.safetensors"
    if trouble == "cut":
        file.write_bytes(file.read_bytes()[:-1000])
    elif trouble == "other file":
        shutil.copy(own / "face_locator_pose.safetensors", file)
    else:
        state = load_file(file)
        save_file({**state, "conv_in.weight": torch.zeros(2, 4, 3, 3)}, file)
    with pytest.raises(Fault) as caught:
        render(shot(1))
    assert caught.value.code == code and "denoising_unet_pose" in caught.value.sentence and caught.value.hint
    assert not tier._the_engine().loaded


def stop(_: float) -> None:
    """A job that was cancelled."""
    raise Fault("cancelled", "The job was cancelled.")


def test_a_job_ends_while_its_weights_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tier, "TICK_SECONDS", 0.0)
    with pytest.raises(Fault) as caught:
        render(shot(1), fraction=stop)
    assert caught.value.code == "cancelled" and not tier._the_engine().loaded
    assert len(render(shot(1))) == 1


def test_a_job_ends_in_the_middle_of_an_evaluation_and_of_a_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor may take minutes for one."""
    monkeypatch.setattr(tier, "TICK_SECONDS", 0.0)
    given = shot(2)
    whole = render(given)  # keeps the portrait's bank: what is read and told is the same from now on
    tier.free()
    told: list[float] = []
    render(given, fraction=told.append)
    before, after = told.count(0.0), len(told) - told.count(0.0)
    assert before > 100 and after > 3  # parts of the one evaluation, then parts of the decoder
    for limit in (before - 20, len(told) - 1):
        calls: list[float] = []

        def stop_there(share: float, calls: list[float] = calls, limit: int = limit) -> None:
            calls.append(share)
            if len(calls) >= limit:
                stop(share)

        tier.free()
        with pytest.raises(Fault) as caught:
            render(given, fraction=stop_there)
        assert caught.value.code == "cancelled" and len(calls) == limit
    assert all(np.array_equal(one, two) for one, two in zip(render(given), whole, strict=True))  # what was stopped leaves nothing behind


def test_a_conversion_that_was_cut_off_leaves_nothing_and_a_former_files_is_let_go_of(tmp_path: Path) -> None:
    path, cache = tmp_path / "motion_module.pth", tmp_path / "cache"
    torch.save({"first": torch.zeros(3), "second": torch.ones(4)}, path)
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 2:
            stop(0.0)

    with pytest.raises(Fault):
        open_checkpoint(path, torch.float16, cache, tick)
    assert len(ticks) == 2 and not list(cache.iterdir())
    first = open_checkpoint(path, torch.float16, cache).file
    full = open_checkpoint(path, torch.float32, cache).file
    torch.save({"first": torch.zeros(9)}, path)  # a new download
    second = open_checkpoint(path, torch.float16, cache)
    assert second.shapes == {"first": (9,)} and {second.file, full} == set(cache.iterdir()) and first != second.file


def test_a_full_disk_stops_a_conversion_with_a_sentence_and_a_bank_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    torch.save({"weight": torch.zeros(3)}, tmp_path / "denoising_unet.pth")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(Fault) as caught:
            open_checkpoint(tmp_path / "denoising_unet.pth", cache=tmp_path / "cache")
        assert caught.value.code == "disk-full" and not list((tmp_path / "cache").iterdir())

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    assert len(render(shot(1))) == 1
    assert not list((tmp_path / "home").rglob("banks/*"))


@pytest.mark.slow
@pytest.mark.parametrize("choices", [{"guidance": 1.0}, {"guidance": 3.5}, {"guidance": 3.5, "split_guidance": True}], ids=str)
def test_one_graph_serves_all_windows_and_portraits(choices: dict[str, Any], tiny: Models) -> None:
    """The denoiser is one graph without breaks, made once for each branch of guidance: nothing of a portrait or a window is part of it."""
    from tiny_shots import moving_bar, pipeline, portrait
    from torch._dynamo.utils import counters

    from backend.synthesis.sd15.reference import reference_bank

    torch._dynamo.reset()
    counters.clear()
    network = torch.compile(tiny.denoising_unet, dynamic=False, fullgraph=True, backend="eager")
    for seed in (0, 1):
        renderer = pipeline(tiny, window=4, overlap=1, steps=2, **choices)
        renderer.use_bank(reference_bank(tiny, portrait(seed)))
        plain = torch.cat(list(renderer.latents(Film(moving_bar, 7))))
        renderer.network = network
        assert torch.allclose(torch.cat(list(renderer.latents(Film(moving_bar, 7)))), plain, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == (2 if choices.get("split_guidance") else 1)
