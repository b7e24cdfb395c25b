# SPDX-License-Identifier: GPL-3.0-or-later
"""A person as meshes: skin, eyes, teeth, brows, hair and clothes, posed by shape weights and head angles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .dentition import arch_shifts, fully_open, head_rotation
from .expression import SHAPES
from .geometry import Surface, compose, neck_pivot, neck_share, smooth_normals, turn_head
from .identity import Person, neutral_head
from .landmarks import actor_face
from .parts import FittedMesh, Parts

Float = NDArray[np.float32]

_LOWEST_DRAWN = 3.2  # decimetres: nothing below the chest is drawn
_EYES = "low-poly"
_ROUNDNESS = 0.75
_SKULL_POINTS = 300  # topmost vertices, which no expression moves


class Material(Enum):
    """What a mesh is made of; the shader knows each by its number."""

    SKIN = 0
    EYE = 1
    TOOTH = 2
    TONGUE = 3
    CLOTH = 4
    BROW = 5
    LASH = 6
    HAIR = 7


TRANSPARENT = (Material.BROW, Material.LASH, Material.HAIR)


@dataclass(frozen=True)
class Piece:
    """One drawn mesh: where its vertices come from and how it looks."""

    material: Material
    texture: str
    tint: tuple[float, float, float]
    surface: Surface
    fitted: FittedMesh | None  # None: the head mesh itself
    refinement: tuple[NDArray[np.int64], Float] | None = None  # vertices (n, k) and weights (n, k) that a finer grid hangs on
    shift: Float | None = None  # (n, 3) or (3,), decimetres along the head's own axes

    def vertices(self, base: Float, rotation: Float) -> Float:
        """Vertices of this mesh on the posed head ``base``, which is turned by ``rotation`` (3, 3)."""
        points = base if self.fitted is None else self.fitted.positions(base)
        if self.shift is not None:
            points = points + self.shift @ rotation.T
        if self.refinement is not None:
            index, weights = self.refinement
            points = np.einsum("nk,nkc->nc", weights, points[index])
        return np.asarray(points, np.float32)


@dataclass(frozen=True)
class PosedPiece:
    """A piece in one frame: corner positions (n, 3) and normals (n, 3)."""

    piece: Piece
    positions: Float
    normals: Float


class Actor:
    """A person whose meshes can be posed again and again."""

    def __init__(self, parts: Parts, person: Person) -> None:
        self.parts = parts
        self.person = person
        self.neutral = neutral_head(parts, person)
        self.face = actor_face(parts, person)
        self.share = neck_share(parts.vertices)
        self.pivot = neck_pivot(parts.vertices, self.neutral)
        self.pieces = _pieces(parts, person, self.neutral)
        self.skull = np.argsort(-self.neutral[:, 1])[:_SKULL_POINTS]
        self._seat_teeth()

    def head(
        self, aus: Float, visemes: Float | None = None, gaze: Float | None = None, angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ) -> Float:
        """(19158, 3) the posed head mesh.

        ``aus``: (18,) 0..5; ``visemes``: (15,); ``gaze``: (2,); ``angles``: yaw, pitch, roll in degrees.
        """
        spoken = np.zeros((1, 15), np.float32) if visemes is None else np.asarray(visemes, np.float32)[None]
        looked = None if gaze is None else np.asarray(gaze, np.float32)[None]
        weights = self.face.weights(np.asarray(aus, np.float32)[None], spoken, looked)[0]
        base = self.parts.displaced({name: float(weight) for name, weight in zip(SHAPES, weights)}, self.neutral)
        return turn_head(base, self.share, self.pivot, *angles)

    def posed(self, base: Float) -> list[PosedPiece]:
        """Every piece on the posed head mesh ``base``."""
        result = []
        rotation = head_rotation(self.neutral[self.skull], base[self.skull])
        for piece in self.pieces:
            vertices = piece.vertices(base, rotation)
            normals = smooth_normals(vertices, piece.surface.vertex_triangles())
            source = piece.surface.source
            result.append(PosedPiece(piece, vertices[source], normals[source]))
        return result

    def _seat_teeth(self) -> None:
        """Moves the arches and the tongue to where this person has them."""
        dentition, dropped = self.person.dentition, self.head(fully_open())
        for index, piece in enumerate(self.pieces):
            if piece.fitted is None or piece.material not in (Material.TOOTH, Material.TONGUE):
                continue
            shift = np.array(dentition.tongue, np.float32)
            if piece.material is Material.TOOTH:
                shift = arch_shifts(piece.fitted.positions(self.neutral), piece.fitted.positions(dropped), dentition)
            self.pieces[index] = replace(piece, shift=shift)


def rounded(posed: PosedPiece) -> PosedPiece:
    """The piece with each triangle split in four and the new corners drawn out onto the curve that the normals tell of.

    Phong tessellation: Boubekeur and Alexa, "Phong Tessellation", SIGGRAPH Asia 2008.
    """
    surface, between = posed.piece.surface.split_corners()
    ends, normals = posed.positions[between], posed.normals[between]
    middle = ends.mean(1)
    lift = np.einsum("nkc,nkc->nk", middle[:, None] - ends, normals)
    curved = middle - _ROUNDNESS * (lift[..., None] * normals).mean(1)
    direction = normals.mean(1)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    piece = replace(posed.piece, surface=surface)
    return PosedPiece(piece, curved.astype(np.float32), direction.astype(np.float32))


def _pieces(parts: Parts, person: Person, neutral: Float) -> list[Piece]:
    clothes = parts.fitted[person.clothes] if person.clothes else None
    pieces = [_skin(parts, person, neutral, clothes)]
    pieces.append(_eyes(parts, person, neutral))
    pieces.append(_worn(parts, person.teeth, Material.TOOTH, "teeth_teeth", person.dentition.teeth_tint, neutral))
    pieces.append(_worn(parts, "tongue01", Material.TONGUE, "tongue_tongue01_diffuse", person.dentition.tongue_tint, neutral))
    if person.clothes:
        pieces.append(_worn(parts, person.clothes, Material.CLOTH, f"clothes_{person.clothes}_diffuse", person.clothes_tint, neutral))
    red, green, blue = np.sqrt(np.asarray(person.hair_tint)) * 0.8
    pieces.append(_worn(parts, person.brows, Material.BROW, f"eyebrows_{person.brows}", (float(red), float(green), float(blue)), neutral))
    pieces.append(_worn(parts, person.lashes, Material.LASH, f"eyelashes_{person.lashes}", (0.25, 0.22, 0.2), neutral))
    if person.hair:
        pieces.append(_worn(parts, person.hair, Material.HAIR, f"hair_{person.hair}_diffuse", person.hair_tint, neutral))
    return pieces


def _skin(parts: Parts, person: Person, neutral: Float, clothes: FittedMesh | None) -> Piece:
    keep = neutral[:, 1] > _LOWEST_DRAWN
    if clothes is not None:
        keep[clothes.hidden] = False
    drawn = keep[parts.quads].all(1)
    surface = Surface.from_quads(parts.quads[drawn], parts.quad_uv[drawn], parts.uv)
    return Piece(Material.SKIN, person.skin, person.skin_tint, surface, None)


def _worn(parts: Parts, name: str, material: Material, texture: str, tint: tuple[float, float, float], neutral: Float) -> Piece:
    mesh = parts.fitted[name]
    height = mesh.positions(neutral)[:, 1]
    drawn = (height[np.maximum(mesh.quads, 0)] > _LOWEST_DRAWN).all(1)
    return Piece(material, texture, tint, Surface.from_quads(mesh.quads[drawn], mesh.quad_uv[drawn], mesh.uv), mesh)


def _eyes(parts: Parts, person: Person, neutral: Float) -> Piece:
    """Eyeballs with their coarse faces split, so that the shade of the lids falls off smoothly."""
    worn = _worn(parts, _EYES, Material.EYE, person.iris, (1.0, 1.0, 1.0), neutral)
    surface, index, weights = worn.surface.split()
    for _ in range(2):
        surface, more_index, more_weights = surface.split()
        index, weights = compose(index, weights, more_index, more_weights)
    return Piece(worn.material, worn.texture, worn.tint, surface, worn.fitted, (index, weights))
