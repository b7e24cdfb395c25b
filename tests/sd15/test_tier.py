# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole tier with tiny networks: banks that are kept, plans that give way, cancelling, letting go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
import torch  # noqa: E402

from backend.synthesis.sd15 import bank_cache, engine, memory, setting, tier  # noqa: E402
from backend.synthesis.sd15.pipeline import Sd15Pipeline  # noqa: E402
from bridge.faults import Fault  # noqa: E402
from bridge.shot import RenderSettings  # noqa: E402

pytestmark = pytest.mark.unit
FRAMES, STEPS = 6, 2
SETTINGS = RenderSettings(tier="sd15", preset="standard", sd15_steps=STEPS)


@pytest.fixture(autouse=True)
def store(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tiny weights as the user's own, an empty cache, and nothing loaded afterwards."""
    monkeypatch.setenv("AUTTER_SD15", str(tiny_weights))
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    tier.free()


@pytest.fixture(scope="module")
def shot() -> tuple[Any, Any, Any]:
    """A portrait, its landmarks and a track."""
    from backend.benchmark.synthesis import synthetic_shot

    return synthetic_shot(96, FRAMES)


def render(shot: tuple[Any, Any, Any], rendering: tier.Rendering | None = None, **choices: Any) -> list[Any]:
    """All frames."""
    return list(tier.render_rows(*shot, rendering or tier.Rendering(tier.outlook(SETTINGS)), **choices))


@pytest.fixture(scope="module")
def plain(shot: tuple[Any, Any, Any], tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The frames as they are without any trouble."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTTER_SD15", str(tiny_weights))
        patch.setenv("AUTTER_HOME", str(tmp_path_factory.mktemp("home")))
        return render(shot)


def test_the_outlook_says_what_is_needed_before_anything_is_loaded() -> None:
    ahead = tier.outlook(SETTINGS)
    assert ahead.settings.size == 64 and ahead.settings.steps == STEPS and ahead.plan.name == "whole"
    assert "EchoMimic" in ahead.sentence and "GB" in ahead.sentence and "free" in ahead.sentence
    told = tier.tell(SETTINGS)
    assert told["ready"] and set(told["need_gb"]) == {"draft", "standard", "best"} and told["weights"] == "echomimic_pose"


def test_missing_weights_and_wrong_choices_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from backend.tiers import check_render_settings

    with pytest.raises(Fault) as caught:
        check_render_settings(RenderSettings(tier="sd15", preset="nice"))
    assert caught.value.code == "preset-unknown"
    with pytest.raises(Fault) as caught:
        check_render_settings(RenderSettings(tier="sd15", weights="aniportrait"))
    assert caught.value.code == "weights-missing"
    monkeypatch.setenv("AUTTER_SD15", "")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    told = tier.tell(SETTINGS)
    assert not told["ready"] and "missing" in told["sentence"] and "--fetch" in told["hint"]


def test_a_render_gives_pictures_of_the_portraits_size_and_keeps_the_bank(
    shot: tuple[Any, Any, Any], plain: list[Any], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    frames = render(shot, fraction=shares.append)
    assert len(frames) == FRAMES and {frame.shape for frame in frames} == {shot[0].shape}
    evaluated = {share for share in shares if share}  # 0 is told while weights are read, and each again while networks work
    assert shares == sorted(shares) and len(evaluated) == STEPS and shares[-1] == 1.0
    assert all(np.array_equal(one, other) for one, other in zip(frames, plain))
    assert len(list((store / "cache" / "sd15" / "banks").iterdir())) == 1
    tier.free()
    monkeypatch.setattr(engine, "load_reference", lambda *_: pytest.fail("the reference network was loaded again"))
    assert np.array_equal(render(shot)[3], plain[3])


def test_another_face_gets_another_bank_and_old_ones_go(shot: tuple[Any, Any, Any], store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_cache, "MOST_BANKS", 1)
    render(shot)
    first = set((store / "cache" / "sd15" / "banks").iterdir())
    render((255 - shot[0], *shot[1:]))
    second = set((store / "cache" / "sd15" / "banks").iterdir())
    assert len(second) == 1 and first != second


def test_a_full_memory_leads_to_the_next_plan_and_the_same_pictures(
    shot: tuple[Any, Any, Any], plain: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    velocity = Sd15Pipeline.velocity

    def full(self: Sd15Pipeline, *arguments: Any) -> Any:
        asked.append(self.settings.split_guidance)
        if not self.settings.split_guidance:
            raise torch.OutOfMemoryError("tried to allocate a great deal")
        return velocity(self, *arguments)

    monkeypatch.setattr(Sd15Pipeline, "velocity", full)
    rendering = tier.Rendering(tier.outlook(SETTINGS))
    frames = render(shot, rendering)
    assert asked == [False] + [True] * STEPS and len(rendering.notes) == 1 and "cheaper plan" in rendering.notes[0]
    assert max(np.abs(one.astype(int) - other).max() for one, other in zip(frames, plain)) <= 1


def test_frames_that_are_done_are_not_made_again(shot: tuple[Any, Any, Any], plain: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Sd15Pipeline.decode
    calls: list[int] = []

    def full(self: Sd15Pipeline, latents: Any) -> Any:
        calls.append(len(latents))
        if len(calls) == 2:
            raise torch.OutOfMemoryError
        return decode(self, latents)

    monkeypatch.setattr(Sd15Pipeline, "decode", full)
    frames = render(shot)
    assert calls == [4, 2, 1, 1] and len(frames) == FRAMES  # four were out already, the two others come one by one
    assert max(np.abs(one.astype(int) - other).max() for one, other in zip(frames, plain)) <= 1


def test_a_memory_that_is_never_enough_is_said(shot: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Sd15Pipeline, "velocity", full)
    with pytest.raises(Fault) as caught:
        render(shot)
    assert caught.value.code == "out-of-memory" and "tier small" in caught.value.hint and not tier._the_engine().loaded


def test_cancelling_stops_between_two_evaluations(shot: tuple[Any, Any, Any]) -> None:
    told: list[float] = []

    def stop(share: float) -> None:
        if share:  # not yet while weights are read
            told.append(share)
            raise Fault("cancelled", "The job was cancelled.")

    with pytest.raises(Fault) as caught:
        render(shot, fraction=stop)
    assert caught.value.code == "cancelled" and told == [1 / STEPS]


def test_unfinished_pictures_are_shown(shot: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tier, "LOOK_SECONDS", 0.0)
    looks: list[Any] = []
    render(shot, look=looks.append)
    assert len(looks) == STEPS and all(look.shape == shot[0].shape and look.dtype == np.uint8 for look in looks)


@pytest.mark.parametrize("plan", memory.PLANS, ids=lambda plan: plan.name)
def test_all_plans_give_the_same_pictures(
    plan: memory.Plan, shot: tuple[Any, Any, Any], plain: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the processor, where moving is idle; what is tested is that every network is still called and called rightly."""
    monkeypatch.setattr(setting.Setting, "plans", property(lambda _: (plan,)))
    frames = render(shot)
    assert max(np.abs(one.astype(int) - other).max() for one, other in zip(frames, plain)) <= 1


def test_networks_stay_loaded_between_jobs_until_they_are_let_go(shot: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[object] = []
    load = engine._load
    monkeypatch.setattr(engine, "_load", lambda *arguments: (loads.append(1), load(*arguments))[1])
    render(shot)
    render(shot)
    assert len(loads) == 1 and tier._the_engine().loaded
    tier.free()
    assert not tier._the_engine().loaded
    render(shot)
    assert len(loads) == 2
