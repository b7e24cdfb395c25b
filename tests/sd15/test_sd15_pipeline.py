# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling by windows: ranges, seams, precisions, schedulers, callbacks. On tiny weights by rule."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_shots import SIZE, frame_changes, latents, moving_bar, moving_wave, pipeline, portrait, still_noise
from torch import Tensor

from backend.synthesis.sd15.models import Models
from backend.synthesis.sd15.pipeline import Film, Step
from bridge.faults import Fault

pytestmark = pytest.mark.unit
SEAM = 1.3  # largest change at a seam over the median change


@pytest.fixture(scope="module")
def three_windows(tiny_echo: Models) -> Tensor:
    """Latents of a 40-frame shot."""
    return latents(tiny_echo, 40)


def test_frames_20_to_30_alone_equal_the_whole(tiny_echo: Models, three_windows: Tensor) -> None:
    assert latents(tiny_echo, 40, 20, 31).equal(three_windows[20:31])


def test_so_it_is_with_aniportraits_pose_network(tiny: Models) -> None:
    choices: dict[str, Any] = {"window": 4, "overlap": 1, "steps": 1, "guidance": 3.5}
    assert latents(tiny, 10, 5, 8, **choices).equal(latents(tiny, 10, **choices)[5:8])


@pytest.mark.parametrize("settings", [{"tied": False}, {"scheduler": "euler"}, {"scheduler": "lcm"}, {"scheduler": "tcd"}])
def test_a_range_equals_the_whole_whatever_the_scheduler(tiny_echo: Models, settings: dict[str, Any]) -> None:
    choices: dict[str, Any] = {"window": 8, "overlap": 2, "steps": 3, **settings}
    whole = latents(tiny_echo, 20, **choices)
    assert len(whole) == 20 and bool(whole.isfinite().all())
    for first, end in ((6, 9), (13, 20)):
        assert latents(tiny_echo, 20, first, end, **choices).equal(whole[first:end])


def test_another_seed_is_another_shot_and_the_same_seed_the_same(tiny_echo: Models) -> None:
    first, again, other = (latents(tiny_echo, 3, seed=seed) for seed in (1, 1, 2))
    assert first.equal(again) and not torch.allclose(first, other, atol=0.1)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_no_seam_in_three_windows(tiny_echo: Models, tied: bool) -> None:
    changes = frame_changes(latents(tiny_echo, 40, tied=tied))
    assert float(changes.max() / changes.median()) <= SEAM


def test_the_fade_spreads_what_windows_disagree_about(tiny_echo: Models) -> None:
    """With the same noise in all frames they hardly differ, and the jump from window to window stands out: many times the median.

    A fade over four frames has five steps, so at best a fifth of the jump is left in each.
    """
    choices: dict[str, Any] = {"pose": moving_wave, "noise": still_noise}
    hard = frame_changes(latents(tiny_echo, 40, overlap=0, **choices))
    assert float(hard.max() / hard.median()) > 3 and {int(place) for place in hard.topk(2).indices} == {15, 31}
    for tied in (True, False):
        faded = frame_changes(latents(tiny_echo, 40, tied=tied, **choices))
        assert float(faded.max()) < 0.3 * float(hard.max())


def test_the_first_frames_do_not_enter_the_tail(tiny_echo: Models, three_windows: Tensor) -> None:
    def other_start(frame: int) -> np.ndarray[Any, Any]:
        return portrait(frame) if frame < 8 else moving_bar(frame)

    changed = latents(tiny_echo, 40, pose=other_start)
    assert not torch.allclose(changed[:8], three_windows[:8], atol=1e-3)
    assert changed[28:].equal(three_windows[28:])  # two windows away from the change


def test_pictures_come_as_windows_are_finished(tiny_echo: Models) -> None:
    """The first pictures are there before the last window was begun, and no more than three windows are held."""
    begun: list[int] = []
    renderer = pipeline(tiny_echo, window=8, overlap=2, tiny_decoder=True)
    pictures = renderer.frames(Film(moving_bar, 44), callback=lambda step: begun.append(step.window.number))
    first = next(pictures)
    assert first.shape == (SIZE, SIZE, 3) and first.dtype == np.uint8 and set(begun) == {0}
    assert len(list(pictures)) == 43 and sorted(set(begun)) == list(range(7))


def test_a_callback_sees_every_step_and_can_stop_at_once(tiny_echo: Models) -> None:
    steps: list[Step] = []

    def watch(step: Step) -> None:
        steps.append(step)
        if len(steps) == 4:
            raise Fault("cancelled", "Stopped.")

    with pytest.raises(Fault, match="Stopped"):
        latents(tiny_echo, 20, callback=watch, window=8, overlap=2, steps=3)
    assert [(step.place, step.step) for step in steps] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert steps[0].done == pytest.approx(1 / 9) and steps[0].places == 3 and steps[0].timestep == 999
    assert steps[0].x.shape == steps[0].denoised.shape == (8, 4, 8, 8)
    assert steps[2].picture().shape == (SIZE, SIZE, 3)
    assert steps[3].window.number == 2  # the window with an odd number leans on both its neighbours


def test_the_last_step_predicts_what_comes_out(tiny_echo: Models) -> None:
    for scheduler in ("ddim", "euler", "lcm"):
        steps: list[Step] = []
        result = latents(tiny_echo, 4, callback=steps.append, scheduler=scheduler, steps=3)
        close = 0.15 if scheduler == "ddim" else 2e-3  # DDIM's last level still holds a little noise
        assert float((steps[-1].denoised - result).norm() / result.norm()) < close


@pytest.mark.parametrize(("dtype", "most"), [(torch.bfloat16, 0.3), (torch.float16, 0.1)], ids=str)
def test_half_precisions_run_and_agree(dtype: torch.dtype, most: float, tiny: Models) -> None:
    """As far as seven or ten bits go where guidance takes their rounding 3.5 times and the random maps are large."""
    half = in_dtype(tiny, dtype)
    renderer = pipeline(half, guidance=3.5)
    assert {tensor.dtype for pair in (renderer._reference or {}).values() for tensor in pair} == {dtype}
    given = torch.cat(list(renderer.latents(Film(moving_bar, 2))))
    wanted = latents(tiny, 2, guidance=3.5)
    assert given.dtype == torch.float32 and bool(given.isfinite().all())
    assert float((given - wanted).norm() / wanted.norm()) < most
    assert renderer.decode(given[:1]).shape == (1, SIZE, SIZE, 3)


def test_guidance_in_one_batch_or_in_two_is_the_same(tiny: Models, tiny_echo: Models) -> None:
    for models in (tiny, tiny_echo):
        together, apart = (latents(models, 3, guidance=3.5, split_guidance=split) for split in (False, True))
        assert torch.allclose(together, apart, atol=1e-4)
        assert not torch.allclose(together, latents(models, 3, guidance=1.0), atol=1e-3)


def test_both_decoders_make_pictures(tiny_echo: Models) -> None:
    clean = latents(tiny_echo, 2)
    large, small = (pipeline(tiny_echo, tiny_decoder=tiny_decoder).decode(clean) for tiny_decoder in (False, True))
    assert large.shape == small.shape == (2, SIZE, SIZE, 3) and not np.array_equal(large, small)


def test_a_voice_changes_echomimic(tiny_echo: Models) -> None:
    renderer = pipeline(tiny_echo)
    silent = torch.cat(list(renderer.latents(Film(moving_bar, 3))))
    heard = torch.randn(3, 50, tiny_echo.config.cross_attention_dim, generator=torch.Generator().manual_seed(0))
    renderer.use_voice(lambda frames: heard[list(frames)])
    assert not torch.allclose(torch.cat(list(renderer.latents(Film(moving_bar, 3)))), silent, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"steps": 0}, {"scheduler": "magic"}, {"size": 100}, {"window": 40}, {"window": 8, "overlap": 5}, {"decode_batch": 0}],
)
def test_impossible_settings_are_a_sentence(tiny_echo: Models, settings: dict[str, Any]) -> None:
    with pytest.raises(Fault) as caught:
        pipeline(tiny_echo, **settings)
    assert caught.value.code in ("sd15-settings", "sd15-window") and caught.value.hint


def in_dtype(models: Models, dtype: torch.dtype) -> Models:
    """The same weights in another precision."""
    copies = {name: copy.deepcopy(network) for name, network in vars(models).items() if isinstance(network, torch.nn.Module)}
    for network in copies.values():
        torch.nn.Module.to(network, dtype)
    return replace(models, **copies, dtype=dtype)


def test_a_range_beyond_the_shot_is_a_sentence(tiny_echo: Models) -> None:
    with pytest.raises(Fault, match="do not lie in a shot of 5"):
        latents(tiny_echo, 5, 3, 9)
