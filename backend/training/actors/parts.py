# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the parts of the synthetic actors: the head mesh, its morph targets, the fitted meshes, textures and light probes.

The folder is laid out as ``DATA/actors/geo/*.npz`` and ``DATA/actors/tex/*.webp`` (MakeHuman's hm08 mesh, 19,158
vertices, unit decimetre, y up, z towards the viewer, x towards the subject's left).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault

Float = NDArray[np.float32]
Index = NDArray[np.int64]

DATA_VARIABLE = "AUTTER_DATA"
_SOLID_ALPHA = 160
EYE_RETREAT_SHAPE = "actors/eyeRetreat"
_EYE_RETREAT = 0.025  # decimetres an eyeball moves back under a shut lid


@dataclass(frozen=True)
class Morph:
    """A sparse displacement of the head mesh: ``delta`` (k, 3) decimetres at vertices ``index`` (k,)."""

    index: Index
    delta: Float


@dataclass(frozen=True)
class FittedMesh:
    """A mesh that rides on the head mesh: eyes, teeth, brows, hair, clothes.

    Vertex = sum of the base vertices ``references`` (n, 3) weighted by ``weights`` (n, 3), plus ``offset`` (n, 3)
    stretched per axis by the distance of two base vertices over their distance at rest (``scale``: rows first vertex,
    second vertex, distance). ``quads``: (q, 4), -1 in the last column marks a triangle. ``uv``: (m, 2), v upwards.
    """

    references: Index
    weights: Float
    offset: Float
    scale: Float
    quads: Index
    quad_uv: Index
    uv: Float
    hidden: Index  # base vertices that this mesh covers

    def positions(self, base: Float) -> Float:
        """Vertices (n, 3) of the fitted mesh on the head ``base`` (19158, 3)."""
        ends = base[self.scale[:, :2].astype(np.int64)]
        axes = np.arange(3)
        stretch = np.abs(ends[axes, 0, axes] - ends[axes, 1, axes]) / self.scale[:, 2]
        carried = np.einsum("nk,nkc->nc", self.weights, base[self.references])
        return np.asarray(carried + self.offset * stretch, np.float32)


class Parts:
    """Everything the actors are made of, loaded once. Arrays are read-only by convention."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        head: dict[str, NDArray[Any]] = dict(np.load(folder / "geo/mh_head.npz", allow_pickle=False))
        self.vertices: Float = head["V"]
        self.uv: Float = head["VT"]
        self.quads: Index = head["F"].astype(np.int64)
        self.quad_uv: Index = head["FT"].astype(np.int64)
        self.ibug: Index = head["lm68"].astype(np.int64)
        self.groups: dict[str, Index] = {name[2:]: value.astype(np.int64) for name, value in head.items() if name.startswith("g_")}
        self.morphs = _morphs(head)
        ict = np.load(folder / "geo/ict_on_mh.npz", allow_pickle=False)
        index = ict["idx"].astype(np.int64)
        self.morphs |= {f"ict/{name}": Morph(index, delta.astype(np.float32)) for name, delta in zip(ict["names"], ict["expr"])}
        self.morphs |= {f"ict_identity/{number}": Morph(index, delta.astype(np.float32)) for number, delta in enumerate(ict["ident"])}
        eyeballs = np.concatenate([self.groups["helper_l_eye"], self.groups["helper_r_eye"]])
        self.morphs[EYE_RETREAT_SHAPE] = Morph(eyeballs, np.tile(np.array([0, 0, -_EYE_RETREAT], np.float32), (len(eyeballs), 1)))
        self.probes: dict[str, Float] = {
            name: value.astype(np.float32) for name, value in np.load(folder / "geo/env.npz", allow_pickle=False).items()
        }

    @cached_property
    def fitted(self) -> dict[str, FittedMesh]:
        """The fitted meshes by name."""
        stored = np.load(self.folder / "geo/proxies.npz", allow_pickle=False)
        names = sorted({key.rsplit("/", 1)[0] for key in stored.files})
        return {name: _fitted(stored, name) for name in names}

    def group(self, prefix: str) -> list[str]:
        """Names of the morph targets under ``prefix/``, sorted."""
        return sorted(name for name in self.morphs if name.startswith(prefix + "/"))

    def textures(self, prefix: str) -> list[str]:
        """Stems of the texture files that begin with ``prefix``, sorted."""
        return sorted(path.stem for path in (self.folder / "tex").glob(f"{prefix}*.webp"))

    def texture(self, stem: str) -> NDArray[np.uint8]:
        """A texture as (h, w, 4) uint8 RGBA; see-through texels take the nearest solid colour, or coarse levels would darken."""
        from PIL import Image
        from scipy.ndimage import distance_transform_edt

        with Image.open(self.folder / "tex" / f"{stem}.webp") as image:
            texture = np.array(image.convert("RGBA"))
        clear = texture[..., 3] < _SOLID_ALPHA
        if clear.any() and not clear.all():
            rows, columns = distance_transform_edt(clear, return_distances=False, return_indices=True)
            texture[..., :3] = texture[rows, columns, :3]
        return texture

    def displaced(self, weights: dict[str, float], base: Float | None = None) -> Float:
        """The head mesh (19158, 3) with morph targets added by name and weight."""
        result = np.array(self.vertices if base is None else base, np.float32)
        for name, weight in weights.items():
            if weight:
                morph = self.morphs[name]
                result[morph.index] += np.float32(weight) * morph.delta
        return result

    def dense(self, name: str) -> Float:
        """A morph target as a dense (19158, 3) displacement."""
        result = np.zeros_like(self.vertices)
        morph = self.morphs[name]
        result[morph.index] = morph.delta
        return result


def _morphs(head: dict[str, NDArray[Any]]) -> dict[str, Morph]:
    ends, index, delta = head["toff"], head["tidx"].astype(np.int64), head["tdel"].astype(np.float32)
    return {str(name): Morph(index[a:b], delta[a:b]) for name, a, b in zip(head["tkeys"], ends[:-1], ends[1:])}


def _fitted(stored: Any, name: str) -> FittedMesh:
    weights = stored[f"{name}/w"].astype(np.float32)
    return FittedMesh(
        references=stored[f"{name}/refs"].astype(np.int64),
        weights=weights[:, :3],
        offset=weights[:, 3:],
        scale=stored[f"{name}/sc"].astype(np.float32),
        quads=_signed(stored[f"{name}/F"]),
        quad_uv=_signed(stored[f"{name}/FT"]),
        uv=stored[f"{name}/VT"].astype(np.float32),
        hidden=stored[f"{name}/del"].astype(np.int64),
    )


def _signed(faces: NDArray[Any]) -> Index:
    """Faces as int64; the mark of a triangle is -1 even where it was stored unsigned."""
    wide = faces.astype(np.int64)
    if faces.dtype.kind == "u":
        wide[wide == np.iinfo(faces.dtype).max] = -1
    return wide


def data_folder(given: str | Path | None = None) -> Path:
    """The data folder: ``given``, else the environment variable AUTTER_DATA. Raises Fault ``data-missing``."""
    chosen = given or os.environ.get(DATA_VARIABLE)
    if chosen and (Path(chosen) / "actors/geo/mh_head.npz").is_file():
        return Path(chosen)
    where = f" in {chosen}" if chosen else ""
    raise Fault(
        "data-missing",
        f"The parts of the synthetic actors were not found{where}.",
        f"Give the data folder, or set {DATA_VARIABLE}; it holds actors/geo.",
    )


@lru_cache(maxsize=1)
def load_parts(folder: Path) -> Parts:
    """The parts in ``folder``/actors, kept in memory after the first call."""
    return Parts(folder / "actors")
