# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances in and out: tables, landmark files, a video, shape keys of a character."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender
FRAMES = 24


@pytest.fixture
def actor(addon, tmp_path):
    """An actor in a scene of one second at 24 frames a second."""
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, FRAMES
    return faces.actor(addon, tmp_path)


def at(addon, actor, key: str, frame: int) -> float:
    """Value of a keyed property at a frame."""
    column = addon.bridge.facs.AU_KEYS.index(key)
    return float(addon.curves.sample_aus(actor, [frame])[0][0, column])


def test_openface_table(addon, actor, tmp_path):
    path = tmp_path / "openface.csv"
    path.write_text("frame, timestamp, AU12_r, AU45_r\n1, 0.0, 0.0, 0\n13, 0.5, 4.0, 0\n25, 1.0, 0.0, 0\n")
    assert bpy.ops.autter.import_performance(filepath=str(path)) == {"FINISHED"}
    assert at(addon, actor, "AU12", 13) == pytest.approx(4) and addon.curves.commanded_keys(actor) == {"AU12", "AU45"}


def test_live_link_recording_with_one_raised_brow(addon, actor, tmp_path):
    rows = ["Timecode,BlendShapeCount,BrowOuterUpLeft,BrowOuterUpRight,MouthSmileLeft,MouthSmileRight,HeadYaw"]
    for frame in range(60):
        rise = min(frame / 30, 1.0)
        rows.append(f"10:00:00:{frame:02d}.0,61,{rise},0.0,{rise},{rise},{0.2 * rise}")
    path = tmp_path / "take.csv"
    path.write_text("\n".join(rows) + "\n")
    bpy.ops.autter.import_performance(filepath=str(path), frame_start=5)
    assert at(addon, actor, "AU12", 17) == pytest.approx(5, abs=0.1) and at(addon, actor, "AU02", 17) == pytest.approx(5, abs=0.1)
    side = addon.curves.sample_sides(actor, [17])[0]
    keys = addon.bridge.facs.AU_KEYS
    assert side[keys.index("AU02")] == pytest.approx(1, abs=0.1) and side[keys.index("AU12")] == pytest.approx(0, abs=0.01)
    head, keyed = addon.curves.sample_head(actor, [17])
    assert keyed[0, 0] and head[0, 0] == pytest.approx(np.degrees(0.2), abs=0.5)


def test_shapes_come_back(addon, actor, tmp_path):
    addon.prediction.write_prediction(actor, faces.track(addon, FRAMES, aus=np.zeros((FRAMES, 18), np.float32)), 1)
    for key, value in (("AU12", 3.0), ("AU04", 2.0)):
        bpy.ops.autter.key_au(key=key, frame=1, value=value)
    path = tmp_path / "out.csv"
    assert bpy.ops.autter.export_performance(filepath=str(path), format="ARKIT") == {"FINISHED"}
    table = addon.bridge.arkit.read_shape_table(path, Fraction(24))
    aus = addon.bridge.arkit.aus_of_shapes(table.weights)
    assert len(table.times) == FRAMES and aus["AU12"][5] == pytest.approx(3, abs=0.01) and aus["AU04"][5] == pytest.approx(2, abs=0.01)
    bpy.ops.autter.export_performance(filepath=str(tmp_path / "aus"), format="OPENFACE", frame_first=3, frame_last=12)
    read = addon.bridge.au_tables.read_au_table(tmp_path / "aus.csv", Fraction(24))
    assert len(read.times) == 10 and read.values["AU12"][0] == pytest.approx(3)


def test_landmarks_come_back_on_another_face(addon, actor, tmp_path):
    track = faces.track(addon, FRAMES, amount=8.0)
    addon.prediction.write_prediction(actor, track, 1)
    before = addon.evaluation.sample_landmarks(actor, range(1, FRAMES + 1))
    path = tmp_path / "motion.npz"
    bpy.ops.autter.export_performance(filepath=str(path), format="LANDMARKS")
    other = addon.build_actor.build_actor(
        bpy.context, faces.portrait(tmp_path, "big.png"), faces.landmarks(addon) * 1.5 + 20, (700, 850), "Grace"
    )
    assert bpy.ops.autter.import_performance(filepath=str(path), frame_start=11) == {"FINISHED"}
    assert addon.prediction.predicted_range(other) == (11, 10 + FRAMES)
    after = addon.evaluation.sample_landmarks(other, range(11, 11 + FRAMES))
    motion = (after - addon.actors.rest_landmarks(other)) / 1.5
    assert np.allclose(motion, before - faces.landmarks(addon), atol=0.05)


def test_landmarks_of_mediapipe(addon, actor, tmp_path):
    """Its 478 points in 0..1 at another rate; the first frame is the neutral face."""
    mesh = np.random.default_rng(3).random((60, 478, 3)).astype(np.float32) * 0.01 + 0.5
    own = list(addon.bridge.landmarks.MEDIAPIPE_INDICES)
    rest = faces.landmarks(addon) / np.float32(faces.SIZE)
    mesh[:, own, :2] = rest
    mesh[30:, own, 1] += 0.02
    np.savez(tmp_path / "mesh.npz", landmarks=mesh, fps=60.0, size=np.array(faces.SIZE))
    bpy.ops.autter.import_performance(filepath=str(tmp_path / "mesh.npz"))
    assert addon.prediction.predicted_range(actor) == (1, 24)
    landmarks = addon.evaluation.sample_landmarks(actor, [2, 20])
    assert np.allclose(landmarks[0], faces.landmarks(addon), atol=0.1)
    assert np.allclose(landmarks[1] - landmarks[0], (0, 0.02 * faces.SIZE[1]), atol=0.1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"x,y\n1,2\n", "no Action Unit column"),
        ("a.npz", b"no archive", "not a landmark track"),
        ("a.csv", b"\xff\xfe\x00", "cannot be read as a table"),
    ],
)
def test_bad_files_are_a_sentence(addon, actor, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.autter.import_performance(filepath=str(tmp_path / name))
    with pytest.raises(RuntimeError, match="no performance at"):
        bpy.ops.autter.import_performance(filepath=str(tmp_path / "nothing.csv"))


def character(names: tuple[str, ...]):
    mesh = bpy.data.meshes.new("Head")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    head = bpy.data.objects.new("Head", mesh)
    bpy.context.scene.collection.objects.link(head)
    head.shape_key_add(name="Basis")
    for name in names:
        head.shape_key_add(name=name).value = 0.25
    return head


def test_a_characters_shape_keys(addon, actor):
    addon.prediction.write_prediction(actor, faces.track(addon, FRAMES, aus=np.zeros((FRAMES, 18), np.float32)), 1)
    bpy.ops.autter.key_au(key="AU12", frame=1, value=5.0)
    head = character(("jawOpen", "Mouth_Smile_L", "mouthSmileRight", "mouthLeft", "nothing of ours"))
    assert bpy.ops.autter.key_shapes(mesh="Head") == {"FINISHED"}
    assert "4 of ARKit's 52" in addon.reports.reports[-1].sentence
    bpy.context.scene.frame_set(10)
    bpy.context.view_layer.update()
    blocks = head.data.shape_keys.key_blocks
    assert blocks["Mouth_Smile_L"].value == pytest.approx(1) and blocks["mouthSmileRight"].value == pytest.approx(1)
    assert blocks["mouthLeft"].value == 0 and blocks["nothing of ours"].value == 0.25
    bpy.ops.autter.key_shapes(mesh="Head", frame_first=5, frame_last=8)
    data = head.data.shape_keys.animation_data
    counts = {len(curve.keyframe_points) for curve in addon.compat.iterate_curves(data.action, addon.compat.assigned_slot(data))}
    assert counts == {FRAMES}  # replaced, not doubled


def test_a_character_without_our_names(addon, actor):
    character(("smile", "frown"))
    with pytest.raises(RuntimeError, match="no shape keys with ARKit's names"):
        bpy.ops.autter.key_shapes(mesh="Head")


def test_capture_keys_what_moves(addon, actor, tmp_path):
    video = tmp_path / "me.mp4"
    video.write_bytes(b"film")
    aus = np.zeros((30, 18), np.float32)
    index = addon.bridge.facs.AU_INDEX
    aus[:, index["AU12"]] = np.linspace(0, 4, 30)
    aus[:, index["AU26"]] = 3.0
    aus[:, index["AU09"]] = 0.1  # noise

    def answer(request):
        track = faces.track(addon, 30, fps=30, aus=aus)
        return track.to_message()

    client = faces.double(addon, capture=answer)
    assert bpy.ops.autter.capture(filepath=str(video)) == {"FINISHED"}
    assert client.requests[-1].path == video
    assert addon.curves.commanded_keys(actor) == {"AU12"}
    assert at(addon, actor, "AU12", 1 + 12) == pytest.approx(4 * 15 / 29, abs=0.2)
    bpy.ops.autter.capture(filepath=str(video), speech=True)
    assert addon.curves.commanded_keys(actor) == {"AU12", "AU26"}
    client.answers["capture"] = lambda request: faces.track(addon, 5, aus=np.zeros((5, 18), np.float32)).to_message()
    with pytest.raises(RuntimeError, match="hardly moves"):
        bpy.ops.autter.capture(filepath=str(video))
