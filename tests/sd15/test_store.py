# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the Stable Diffusion tier: where they are looked for, what is said of missing ones, and fetching from a hub."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from backend.synthesis.sd15 import catalogue, store
from bridge.faults import Fault

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine: no store, no folder of the user's, no hub cache."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AUTTER_SD15", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home"


def put(folder: Path, chosen: catalogue.WeightSet, without: str = "") -> None:
    """Empty files with the published names."""
    for key in chosen.parts:
        part = catalogue.PARTS[key]
        if key == without:
            continue
        for forms in part.files:
            path = folder / part.folders[0] / forms[0].name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(key.encode())


def test_the_catalogue_is_whole() -> None:
    for chosen in catalogue.WEIGHT_SETS.values():
        assert set(chosen.parts) <= set(catalogue.PARTS) and chosen.family in ("aniportrait", "echomimic")
    for part in catalogue.PARTS.values():
        assert part.licence and part.licence_address.startswith("https://") and part.about > 0 and len(part.files) <= 2
        for form in (form for forms in part.files for form in forms):
            assert form.sha256 is None or len(form.sha256) == 64
            assert form.size is None or form.size == form.about


def test_nothing_there_says_what_is_missing_how_large_and_where_to_put_it(home: Path) -> None:
    with pytest.raises(Fault) as caught:
        store.find_weights("aniportrait")
    fault = caught.value
    assert fault.code == "weights-missing" and "10.9 GB" in fault.sentence and "AniPortrait" in fault.sentence
    assert str(home / "models" / "sd15") in fault.hint and "AUTTER_SD15" in fault.hint and "--fetch" in fault.hint
    with pytest.raises(Fault) as caught:
        store.find_weights("stable")
    assert caught.value.code == "weights-unknown" and "echomimic_pose_acc" in caught.value.hint


def test_a_folder_of_the_users_comes_first_and_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mine", catalogue.WEIGHT_SETS["echomimic_pose"])
    monkeypatch.setenv("AUTTER_SD15", str(tmp_path / "mine"))
    found = store.find_weights()
    assert found.chosen.key == "echomimic_pose" and found.parts["face_locator"].weights.name == "face_locator_pose.pth"
    assert found.parts["vae"].own and found.unet_config is None
    put(tmp_path / "mine", catalogue.WEIGHT_SETS["aniportrait"])
    assert store.find_weights().chosen.key == "aniportrait" and store.find_weights("echomimic_pose").chosen.key == "echomimic_pose"
    before = store.find_weights().stamp()
    config = tmp_path / "mine" / "unet" / "config.json"
    config.parent.mkdir()
    config.write_text("{}")
    assert store.find_weights().paths()["unet_config"] == config and store.find_weights().stamp() != before
    assert store.find_weights().paths()["vae"].is_dir() and store.find_weights().paths()["pose_guider"].name == "pose_guider.pth"
    monkeypatch.setenv("AUTTER_SD15", str(tmp_path / "nowhere"))
    with pytest.raises(Fault, match="nowhere"):
        store.find_weights()


def test_the_published_folder_layout_is_found_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pretrained_model` as AniPortrait's own instructions make it: checkpoints at its root, base parts in folders."""
    folder = tmp_path / "pretrained_model"
    names = ("denoising_unet.pth", "motion_module.pth", "reference_unet.pth", "pose_guider.pth", "sd-vae-ft-mse/config.json")
    names += ("sd-vae-ft-mse/diffusion_pytorch_model.bin", "image_encoder/config.json", "image_encoder/pytorch_model.bin")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    monkeypatch.setenv("AUTTER_SD15", str(folder))
    found = store.find_weights()
    assert found.chosen.key == "aniportrait" and found.parts["vae"].weights.suffix == ".bin"
    assert "tiny_decoder" not in found.parts


def test_the_folder_of_echomimics_instructions_is_found_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pretrained_weights`: checkpoints at its root, the voice encoder in the first release's form, the U-Net's sizes among a base's."""
    folder = tmp_path / "pretrained_weights"
    names = [f"{name}_pose{few}.pth" for name in ("denoising_unet", "motion_module") for few in ("", "_acc")]
    names += ["reference_unet_pose.pth", "face_locator_pose.pth", "audio_processor/whisper_tiny.pt", "sd-vae-ft-mse/config.json"]
    names += ["sd-vae-ft-mse/diffusion_pytorch_model.safetensors", "sd-image-variations-diffusers/unet/config.json"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    monkeypatch.setenv("AUTTER_SD15", str(folder))
    for chosen in ("echomimic_pose", "echomimic_pose_acc"):
        found = store.find_weights(chosen)
        assert found.parts["voice_encoder"].weights.name == "whisper_tiny.pt" and found.paths()["voice_encoder"].is_file()
        assert str(found.unet_config).endswith("unet/config.json") and ("_acc" in found.parts["denoising_unet"].weights.name) == (
            "acc" in chosen
        )
    before = store.find_weights("echomimic_pose").stamp()
    (folder / "audio_processor" / "whisper_tiny.pt").write_bytes(b"another")
    assert store.find_weights("echomimic_pose").stamp() == before  # what is heard changes no network and no portrait's bank


def test_a_cut_off_file_in_the_store_is_refused(home: Path) -> None:
    put(home / "models" / "sd15", catalogue.WEIGHT_SETS["aniportrait"])
    with pytest.raises(Fault) as caught:
        store.find_weights()
    assert caught.value.code == "weights-mismatch" and "547" in caught.value.sentence


def test_what_other_programs_fetched_is_used(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--madebyollin--taesd" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (snapshot / name).write_bytes(b"x")
    found = store.find_part("tiny_decoder")
    assert found is not None and found.folder == snapshot and not found.own and store.check_content(found) is False


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's file protocol as its client needs. ``cut``: the next answer with the weights breaks off half way."""

    files: dict[str, bytes] = {}
    cut = False
    ranges: list[str | None] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        content = self.files.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = 0
        if body:
            self.ranges.append(self.headers.get("Range"))
            if wanted := self.headers.get("Range"):
                first = int(wanted.removeprefix("bytes=").split("-")[0])
        rest = content[first:]
        self.send_response(206 if first else 200)
        digest = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": "c" * 40, "ETag": f'"{digest}"', "Content-Length": str(len(rest)), "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            cut = type(self).cut and not self.path.endswith("config.json")
            self.wfile.write(rest[: len(rest) // 2] if cut else rest)
            if cut:
                type(self).cut = False
                self.wfile.flush()
                self.connection.close()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on this machine."""
    Hub.files, Hub.cut, Hub.ranges = {}, False, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield Hub
    server.shutdown()


@pytest.fixture
def small_part(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> catalogue.Part:
    """A part of two files whose checksums the catalogue knows, published on the hub."""
    weights, config = b"weights" * 40_000, b'{"a": 1}'
    files = tuple(
        (catalogue.PublishedFile(name, len(data), len(data), hashlib.sha256(data).hexdigest()),)
        for name, data in (("config.json", config), ("model.safetensors", weights))
    )
    part = replace(catalogue.PARTS["image_encoder"], repository="some/where", prefix="image_encoder", files=files)
    hub.files = {f"/some/where/resolve/main/image_encoder/{n}": d for n, d in (("config.json", config), ("model.safetensors", weights))}
    monkeypatch.setitem(catalogue.PARTS, "image_encoder", part)
    return part


def test_a_part_is_fetched_checked_and_never_asked_for_again(home: Path, hub: type[Hub], small_part: catalogue.Part) -> None:
    from backend.synthesis.sd15.fetch import fetch_part

    made = fetch_part(small_part, quiet=True)
    found = store.find_part("image_encoder")
    assert found is not None and sorted(found.files.values()) == sorted(made) and store.check_content(found) is True
    assert found.folder == home / "models" / "sd15" / "image_encoder" and not found.own
    assert set(store.fetched_checksums()) == {str(path) for path in made}
    asked = len(hub.ranges)
    store.check_sizes(found)
    assert store.find_part("image_encoder") is not None and len(hub.ranges) == asked


def test_a_download_that_broke_off_goes_on_where_it_stopped(
    hub: type[Hub], small_part: catalogue.Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.synthesis.sd15.fetch import fetch_part

    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 4096)
    hub.cut = True
    try:
        fetch_part(small_part, quiet=True)
    except Fault as fault:
        assert fault.code == "download-failed" and "goes on" in fault.hint
        fetch_part(small_part, quiet=True)
    found = store.find_part("image_encoder")
    assert found is not None and store.check_content(found) is True
    assert any(wanted and not wanted.startswith("bytes=0-") for wanted in hub.ranges)


def test_another_file_than_the_published_one_is_removed(hub: type[Hub], small_part: catalogue.Part) -> None:
    from backend.synthesis.sd15.fetch import fetch_part

    path = "/some/where/resolve/main/image_encoder/model.safetensors"
    hub.files[path] = b"another" * 40_000
    with pytest.raises(Fault) as caught:
        fetch_part(small_part, quiet=True)
    assert caught.value.code == "weights-mismatch" and store.find_part("image_encoder") is None


def test_a_hub_that_does_not_answer_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch, small_part: catalogue.Part) -> None:
    from backend.synthesis.sd15.fetch import fetch_part

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Fault) as caught:
        fetch_part(small_part, quiet=True)
    assert caught.value.code == "download-failed" and "HTTPS_PROXY" in caught.value.hint and "\n" not in caught.value.sentence


def test_a_file_that_the_hub_does_not_have(hub: type[Hub], small_part: catalogue.Part) -> None:
    from backend.synthesis.sd15.fetch import fetch_part

    hub.files.clear()
    with pytest.raises(Fault) as caught:
        fetch_part(small_part, quiet=True)
    assert caught.value.code == "download-failed"
