# SPDX-License-Identifier: GPL-3.0-or-later
"""Published files: names, shapes, pickles, the conversion, and what is said where they do not fit."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from backend.evaluation.sd15_parity import compare_keys
from backend.synthesis.sd15 import keys
from backend.synthesis.sd15.checkpoints import open_checkpoint, write_safetensors
from backend.synthesis.sd15.config import NetworkConfig
from backend.synthesis.sd15.models import Models, build_networks, check, fill, load_models
from backend.synthesis.sd15.tiny import published_states, write_tiny_parts
from bridge.faults import Fault

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def pickles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """EchoMimic's layout as ``.pth``."""
    return write_tiny_parts(tmp_path_factory.mktemp("published"), "echomimic")


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_published_pickles_give_the_very_weights_and_are_converted_once(
    pickles: dict[str, Path], tiny_echo: Models, tmp_path: Path
) -> None:
    loaded = load_models(pickles, family="echomimic", cache=tmp_path)
    for name, network in tiny_echo.networks.items():
        assert same_weights(loaded.networks[name], network), name
    converted = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(converted) == 4 and all(file.suffix == ".safetensors" for file in converted)
    load_models(pickles, family="echomimic", cache=tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == converted
    pickles["motion_module"].touch()  # a new download
    load_models(pickles, family="echomimic", cache=tmp_path)
    again = set(tmp_path.iterdir())  # its former form made room for the new one
    assert len(again) == 4 and len(again - set(converted)) == 1 and "motion_module" in (again - set(converted)).pop().name


def test_half_precision_takes_half_the_space(pickles: dict[str, Path], tmp_path: Path) -> None:
    loaded = load_models(pickles, torch.bfloat16, family="echomimic", cache=tmp_path)
    assert {parameter.dtype for network in loaded.networks.values() for parameter in network.parameters()} == {torch.bfloat16}
    sizes = sum(file.stat().st_size for file in tmp_path.iterdir())
    originals = sum(pickles[name].stat().st_size for name in ("denoising_unet", "motion_module", "reference_unet", "face_locator"))
    assert 0.4 < sizes / originals < 0.6


def test_safetensors_are_read_where_they_are(tmp_path: Path, tiny_echo: Models) -> None:
    parts = write_tiny_parts(tmp_path / "own", "echomimic", suffix=".safetensors")
    loaded = load_models(parts, family="echomimic", cache=tmp_path / "cache")
    assert same_weights(loaded.denoising_unet, tiny_echo.denoising_unet) and not (tmp_path / "cache").exists()


def test_without_the_reference_network_nothing_of_it_is_needed(pickles: dict[str, Path], tmp_path: Path) -> None:
    fewer = {name: path for name, path in pickles.items() if name != "reference_unet"}
    assert load_models(fewer, family="echomimic", cache=tmp_path, reference=False).reference_unet is None
    with pytest.raises(Fault, match="reference_unet"):
        load_models(fewer, family="echomimic", cache=tmp_path)


def change(state: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    """A file of weights with something wrong in it."""
    name = "up_blocks.1.attentions.0.proj_in.weight"
    changed = dict(state)
    if how == "missing":
        del changed[name]
    elif how == "surplus":
        changed["up_blocks.9.extra.weight"] = torch.zeros(3)
    else:
        changed[name] = torch.zeros(7, 5)
    return changed


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "1 missing (up_blocks.1.attentions.0.proj_in.weight)"),
        ("surplus", "1 surplus (up_blocks.9.extra.weight)"),
        ("misshapen", "1 of another shape (up_blocks.1.attentions.0.proj_in.weight (has 7x5, needs 128x128x1x1))"),
    ],
)
def test_what_does_not_fit_is_named(how: str, said: str, tiny_echo: Models, tmp_path: Path) -> None:
    files = []
    for name, state in published_states(tiny_echo).items():
        if name in ("denoising_unet", "motion_module"):
            torch.save(change(state, how) if name == "denoising_unet" else state, tmp_path / f"{name}.pth")
            files.append(open_checkpoint(tmp_path / f"{name}.pth", cache=tmp_path))
    with pytest.raises(Fault) as caught:
        check(tiny_echo.denoising_unet, files, keys.denoiser_key)
    assert caught.value.code == "sd15-keys" and said in caught.value.sentence
    assert "denoising_unet.pth and motion_module.pth" in caught.value.sentence


def test_many_missing_weights_are_counted(tiny_echo: Models) -> None:
    expected = keys.network_shapes(tiny_echo.pose_guider)
    with pytest.raises(Fault, match=r"16 missing \(.*and 10 more\)"):
        keys.check_fit("face_locator.pth", expected, {})


class Harmful:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


@pytest.mark.parametrize("content", ["code", "text", "empty", "cut off", "no weights"])
def test_files_that_are_no_weights_are_a_sentence_and_run_nothing(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "denoising_unet.pth"
    if content == "code":
        path.write_bytes(pickle.dumps({"weight": Harmful()}))
    elif content == "no weights":
        torch.save({"weight": torch.zeros(2), "epoch": 3}, path)
    else:
        torch.save({"weight": torch.zeros(2000)}, path)
        path.write_bytes({"text": b"version https://git-lfs", "empty": b"", "cut off": path.read_bytes()[:900]}[content])
    with pytest.raises(Fault) as caught:
        open_checkpoint(path, cache=tmp_path / "cache")
    assert caught.value.code == "sd15-file" and "denoising_unet.pth" in caught.value.sentence
    assert not (tmp_path / "ran").exists() and not list((tmp_path / "cache").glob("*"))


def test_our_safetensors_are_safetensors(tmp_path: Path) -> None:
    state = {"a": torch.randn(3, 5), "b": torch.arange(4), "c": torch.tensor(2.5).bfloat16(), "d": torch.zeros(0, 2)}
    write_safetensors(tmp_path / "x.safetensors", state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_file(tmp_path / "x.safetensors").items())
    write_safetensors(tmp_path / "h.safetensors", state, torch.float16)
    assert {name: tensor.dtype for name, tensor in load_file(tmp_path / "h.safetensors").items()} == {
        "a": torch.float16, "b": torch.int64, "c": torch.float16, "d": torch.float16,
    }  # fmt: skip


def test_the_published_key_list_fits_the_full_size_networks(fixtures_folder: Path) -> None:
    for name, counts in compare_keys(fixtures_folder / "aniportrait_keys.json").items():
        assert (counts["missing"], counts["surplus"], counts["misshapen"]) == (0, 0, 0), name


def test_names_go_there_and_back(fixtures_folder: Path) -> None:
    files = json.loads((fixtures_folder / "aniportrait_keys.json").read_text())["files"]
    for name in ("denoising_unet.pth", "motion_module.pth"):
        for published in files[name]:
            own = keys.denoiser_key(published)
            assert own is None if published.endswith("pos_encoder.pe") else keys.published_denoiser_key(str(own)) == published


def test_echomimics_full_size_counts() -> None:
    """As the published files have them: 570 keys and 815.5 M, 686 keys and 849.9 M, 588 keys, 16 keys and 1.09 M."""
    with torch.device("meta"):
        reference_unet, denoiser, locator = build_networks(NetworkConfig(cross_attention_dim=384), "echomimic")
    shapes = keys.network_shapes(denoiser)
    still = {name: shape for name, shape in shapes.items() if "motion_modules" not in name}
    assert (len(still), len(shapes) - len(still)) == (686, 588 - 2 * 21)  # two sets of sinusoids a module are computed
    assert round(sum(torch.Size(shape).numel() for shape in still.values()) / 1e6, 1) == 849.9
    state = reference_unet.state_dict()
    assert len(state) == 570 and round(sum(tensor.numel() for tensor in state.values()) / 1e6, 1) == 815.5
    assert len(locator.state_dict()) == 16 and round(sum(tensor.numel() for tensor in locator.parameters()) / 1e6, 2) == 1.09


@pytest.mark.slow
def test_full_size_files_of_random_tensors_load(fixtures_folder: Path, tmp_path: Path) -> None:
    """The four published files at their real shapes, 4.7 GB in half precision, part by part: written, converted, loaded, removed."""
    import shutil

    if shutil.disk_usage(tmp_path).free < 12e9:
        pytest.skip("needs 12 GB of disk")
    files = json.loads((fixtures_folder / "aniportrait_keys.json").read_text())["files"]
    with torch.device("meta"):
        reference_unet, denoiser, pose_guider = build_networks(NetworkConfig(), "aniportrait")
    for names, network, rename in (
        (("pose_guider.pth",), pose_guider, keys.plain_key),
        (("reference_unet.pth",), reference_unet, keys.plain_key),
        (("denoising_unet.pth", "motion_module.pth"), denoiser, keys.denoiser_key),
    ):
        opened = []
        for name in names:
            torch.save({key: torch.randn(shape).half() for key, shape in files[name].items()}, tmp_path / name)
            opened.append(open_checkpoint(tmp_path / name, torch.float16, tmp_path / "cache"))
        fill(network, opened, rename, torch.float16, "cpu")
        assert not any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
        first = next(iter(files[names[0]]))
        stored = torch.load(tmp_path / names[0], weights_only=True, mmap=True)[first]
        assert torch.equal(network.state_dict()[str(rename(first))], stored)
        network.to("meta")
        for path in (*(tmp_path / name for name in names), *(tmp_path / "cache").iterdir()):
            path.unlink()
