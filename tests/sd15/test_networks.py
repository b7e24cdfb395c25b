# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks: reference attention, norms by frame, one token, gradients."""

from __future__ import annotations

import inspect

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from tiny_shots import portrait
from torch import Tensor

from backend.synthesis.sd15.config import NetworkConfig
from backend.synthesis.sd15.denoiser import Denoiser, PerFrameGroupNorm
from backend.synthesis.sd15.models import Models, build_networks
from backend.synthesis.sd15.pose_guider import FaceLocator, PoseGuider
from backend.synthesis.sd15.reference import TOKENS, build_reference_unet, reference_bank, write_bank
from bridge.faults import Fault

pytestmark = pytest.mark.unit


def noisy(frames: int = 3, rows: int = 1) -> Tensor:
    return torch.randn(rows, 4, frames, 8, 8, generator=torch.Generator().manual_seed(3))


def denoise(models: Models, latents: Tensor, reference: dict[str, Tensor] | None, rows_without: int = 0) -> Tensor:
    tokens = torch.zeros(latents.shape[0], 1, models.config.cross_attention_dim)
    with torch.inference_mode():
        return models.denoising_unet(latents, torch.tensor(500), tokens, [], reference, rows_without)


def test_the_reference_is_read_by_the_rows_that_have_one(tiny: Models) -> None:
    bank = reference_bank(tiny, portrait())
    bank.pop(TOKENS)
    alone, with_bank = denoise(tiny, noisy(), None), denoise(tiny, noisy(), bank)
    both = denoise(tiny, noisy().repeat(2, 1, 1, 1, 1), bank, 1)
    assert not torch.allclose(alone, with_bank, atol=1e-3)
    assert torch.allclose(both[:1], alone, atol=1e-5) and torch.allclose(both[1:], with_bank, atol=1e-5)


def test_another_portrait_is_another_bank_and_reaches_the_denoiser(tiny: Models) -> None:
    banks = [reference_bank(tiny, portrait(seed)) for seed in (0, 1)]
    for bank in banks:
        bank.pop(TOKENS)
    first, second = (denoise(tiny, noisy(), bank) for bank in banks)
    assert not torch.allclose(first, second, atol=1e-5)
    assert torch.allclose(denoise(tiny, noisy(), banks[0]), first)  # nothing of the second one is left


def test_every_self_attention_has_its_entry_in_the_bank(tiny: Models) -> None:
    bank = reference_bank(tiny, portrait())
    assert set(bank) - {TOKENS} == {
        name for name in tiny.denoising_unet.unet.attn_processors if "motion_modules" not in name and name.endswith("attn1.processor")
    }
    assert all(tensor.shape[0] == 1 for tensor in bank.values())
    assert reference_bank(tiny, portrait()).keys() == bank.keys()


def test_a_full_size_bank_has_one_entry_for_each_of_16_attentions() -> None:
    with torch.device("meta"):
        bank = write_bank(build_reference_unet(NetworkConfig()), torch.zeros(1, 4, 64, 64), torch.zeros(1, 1, 768))
    assert len(bank) == 16 and sum(tensor.numel() for tensor in bank.values()) == 11_550_720


def test_motion_modules_normalise_each_frame_by_itself() -> None:
    norm = PerFrameGroupNorm(4, 8, 1e-6)
    video = torch.randn(2, 8, 5, 4, 4) * torch.arange(1, 6).view(1, 1, 5, 1, 1)
    given = norm(video)
    for frame in range(5):
        assert torch.allclose(given[:, :, frame], torch.nn.functional.group_norm(video[:, :, frame], 4, eps=1e-6), atol=1e-6)
    assert not torch.allclose(given, torch.nn.functional.group_norm(video, 4, eps=1e-6), atol=1e-2)


def test_all_motion_modules_have_that_norm(tiny: Models) -> None:
    names = [name for name, module in tiny.denoising_unet.named_modules() if isinstance(module, PerFrameGroupNorm)]
    with torch.device("meta"):
        full = Denoiser(NetworkConfig())
    assert len(names) == 4 + 8 + 1 and all(name.endswith(".norm") for name in names)
    assert sum(isinstance(module, PerFrameGroupNorm) for module in full.modules()) == 21


def test_one_token_needs_no_queries(tiny: Models) -> None:
    """The shortcut gives what attention to a single token gives."""
    attention = tiny.denoising_unet.unet.mid_block.attentions[0].transformer_blocks[0].attn2
    hidden, token = torch.randn(2, 9, 128), torch.randn(2, 1, 64)
    with torch.inference_mode():
        assert torch.allclose(attention.processor(attention, hidden, token), AttnProcessor2_0()(attention, hidden, token), atol=1e-6)
        many = torch.randn(2, 4, 64)
        assert torch.allclose(attention.processor(attention, hidden, many), AttnProcessor2_0()(attention, hidden, many), atol=1e-6)


def test_echomimic_listens_three_times_as_hard(tiny_echo: Models) -> None:
    attention = tiny_echo.denoising_unet.unet.mid_block.attentions[0].transformer_blocks[0].attn2
    hidden, tokens = torch.randn(2, 9, 128), torch.randn(2, 5, 64)
    with torch.inference_mode():
        plain = AttnProcessor2_0()(attention, hidden, tokens)
        assert torch.allclose(attention.processor(attention, hidden, tokens), 3 * plain, atol=1e-6)


def test_pose_features_join_the_hidden_state_and_not_the_skips(tiny: Models) -> None:
    unet = tiny.denoising_unet.unet
    seen: list[tuple[Tensor, tuple[Tensor, ...]]] = []
    hook = unet.down_blocks[1].register_forward_hook(lambda _, __, output: seen.append(output))
    maps = [torch.zeros(3, width, side, side) for width, side in ((32, 8), (32, 4), (64, 2), (128, 1), (128, 1))]
    maps[2] += 7
    tokens = torch.zeros(1, 1, 64)
    try:
        with torch.inference_mode():
            for pose in ([], maps):
                tiny.denoising_unet(noisy(), torch.tensor(500), tokens, pose, None)
    finally:
        hook.remove()
    assert torch.allclose(seen[1][0], seen[0][0] + 7)
    assert all(torch.equal(one, other) for one, other in zip(seen[0][1], seen[1][1]))


def test_the_pose_networks_ask_for_the_drawing_alone() -> None:
    for network in (PoseGuider, FaceLocator):
        assert list(inspect.signature(network.forward).parameters) == ["self", "drawings"]


def test_pose_features_have_the_levels_of_the_denoiser() -> None:
    with torch.device("meta"):
        maps = PoseGuider()(torch.zeros(2, 3, 512, 512))
        (located,) = FaceLocator()(torch.zeros(2, 3, 512, 512))
    assert [tuple(level.shape[1:]) for level in maps] == [(320, 64, 64), (320, 32, 32), (640, 16, 16), (1280, 8, 8), (1280, 8, 8)]
    assert located.shape == (2, 320, 64, 64)


def test_each_drawing_has_its_own_features(tiny: Models) -> None:
    """Batch normalisation rests on what was learned, not on the shot: a range sees what the whole sees."""
    drawings = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        together, alone = tiny.pose_guider(drawings), tiny.pose_guider(drawings[1:2])
    assert all(torch.allclose(level[1:2], single, atol=1e-3) for level, single in zip(together, alone))


def test_gradients_reach_the_reference_network() -> None:
    torch.manual_seed(0)
    reference_unet, denoiser, pose_guider = build_networks(NetworkConfig.tiny(), "echomimic")
    torch.nn.init.normal_(pose_guider.conv_out.weight)  # it starts at zero, so that training begins with the pictures it knows
    bank = write_bank(reference_unet, torch.randn(2, 4, 8, 8), None)
    pose = pose_guider(torch.rand(4, 3, 64, 64))
    predicted = denoiser(torch.randn(2, 4, 2, 8, 8), torch.tensor([10, 900]), torch.randn(2, 1, 64), pose, bank)
    predicted.square().mean().backward()
    for network in (reference_unet.down_blocks[0].resnets[0].conv1, denoiser.unet.conv_in, pose_guider.conv_in):
        assert network.weight.grad is not None and float(network.weight.grad.abs().sum()) > 0


def test_an_unknown_family_is_a_sentence() -> None:
    with pytest.raises(Fault, match="no family"):
        build_networks(NetworkConfig.tiny(), "hallo")
