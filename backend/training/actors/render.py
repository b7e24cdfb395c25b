# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a posed actor with OpenGL (moderngl on EGL; software OpenGL will do)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault

from . import shaders
from .actor import TRANSPARENT, Actor, Material, PosedPiece
from .camera import Camera
from .light import Light
from .parts import Parts

Float = NDArray[np.float32]

_LAMP_SIZE = 640  # pixels of the lamp's depth picture
_LAMP_CENTRE, _LAMP_RADIUS = np.array([0.0, 6.7, 0.4], np.float32), 2.6
_SKY_SIZE, _SKY_DIRECTIONS = 256, 28
_SKY_BIAS = 0.035  # decimetres
_TO_LIGHT = ((np.arange(256) / 255) ** 2.2).astype(np.float32)  # averaging pixels averages light, not their codes
_FROM_LIGHT = ((np.arange(16384) / 16383) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
_SOLID_FROM = 0.6  # alpha from which hair and lashes hide what is behind them


@dataclass(frozen=True)
class Scene:
    """Everything of a picture but the actor. ``backdrop``: (h, w, 3) uint8, stretched over the picture. ``gloss``: 0..1 sheen
    of the skin. ``bump``: depth of its fine relief in decimetres. ``supersample``: pixels drawn per pixel and axis."""

    camera: Camera
    light: Light
    backdrop: NDArray[np.uint8]
    gloss: float = 0.8
    bump: float = 0.004
    supersample: int = 2


class Renderer:
    """One OpenGL context with its programs, textures and buffers. Close it when done."""

    def __init__(self, parts: Parts, shadow_taps: int = 8) -> None:
        import moderngl

        self.parts = parts
        self.shadow_taps = shadow_taps
        try:
            self.context = moderngl.create_context(standalone=True, backend="egl")
        except Exception as error:  # moderngl raises plain Exception
            raise Fault(
                "no-opengl", f"No OpenGL context could be made: {error}.", "Install EGL and a driver, e.g. libegl1 and libgl1-mesa-dri."
            ) from None
        self._gl = moderngl
        self._draw = self.context.program(vertex_shader=shaders.VERTEX, fragment_shader=shaders.FRAGMENT)
        self._depth = self.context.program(vertex_shader=shaders.DEPTH_VERTEX, fragment_shader=shaders.DEPTH_FRAGMENT)
        self._back = self.context.program(vertex_shader=shaders.BACKGROUND_VERTEX, fragment_shader=shaders.BACKGROUND_FRAGMENT)
        self._textures: dict[str, Any] = {}
        self._targets: dict[tuple[int, int], Any] = {}
        self._depth_targets: dict[int, Any] = {}

    def close(self) -> None:
        """Frees the context and all it holds."""
        self.context.release()

    def picture(self, posed: list[PosedPiece], air: list[Float], scene: Scene, open_mouth: float = 0.0) -> NDArray[np.uint8]:
        """(height, width, 3) uint8. ``air``: per piece (n,) 0..1 how much sky each corner sees (``sky_seen``).
        ``open_mouth``: 0..1, how far light gets to the teeth."""
        camera, light, supersample = scene.camera, scene.light, scene.supersample
        fine = camera.scaled(supersample)
        meshes = [self._upload(piece, open_air) for piece, open_air in zip(posed, air)]
        lamp_matrix = _orthographic(light.key_direction)
        lamp_depth = self._depth_picture(posed, meshes, lamp_matrix, _LAMP_SIZE)
        target = self._target(fine.width, fine.height)
        target.use()
        self.context.viewport = (0, 0, fine.width, fine.height)
        self.context.clear(0, 0, 0, 1, depth=1.0)
        self._draw_backdrop(scene.backdrop)
        _set(self._draw, open_mouth=open_mouth, gloss=scene.gloss, bump=scene.bump)
        mirrors = self._set_light(light, lamp_matrix, lamp_depth, fine)
        self._draw_pieces(posed, meshes, fine)
        image = np.frombuffer(target.read(components=3), np.uint8).reshape(fine.height, fine.width, 3)[::-1]
        for mesh in meshes:
            mesh.release()
        mirrors.release()
        return _reduced(image, supersample)

    def sky_seen(self, posed: list[PosedPiece]) -> list[Float]:
        """Per piece (n,): the share of the sky, weighted by the cosine, that each corner sees past the other pieces."""
        meshes = [self._upload(piece, np.ones(len(piece.positions), np.float32)) for piece in posed]
        seen = [np.zeros(len(piece.positions), np.float32) for piece in posed]
        total = [np.full(len(piece.positions), 1e-6, np.float32) for piece in posed]
        for direction in _sphere(_SKY_DIRECTIONS):
            matrix = _orthographic(direction)
            depth = np.frombuffer(self._depth_picture(posed, meshes, matrix, _SKY_SIZE).read(), np.float32).reshape(_SKY_SIZE, _SKY_SIZE)
            for piece, open_air, weight in zip(posed, seen, total):
                double_sided = piece.piece.material in (*TRANSPARENT, Material.CLOTH)
                cosine = piece.normals @ direction
                cosine = (np.abs(cosine) if double_sided else np.maximum(cosine, 0)).astype(np.float32)
                spot = (np.c_[piece.positions, np.ones(len(cosine))] @ matrix.T)[:, :3] * 0.5 + 0.5
                pixel = np.clip((spot[:, :2] * _SKY_SIZE).astype(int), 0, _SKY_SIZE - 1)
                free = spot[:, 2] - _SKY_BIAS / (4 * _LAMP_RADIUS) <= depth[pixel[:, 1], pixel[:, 0]]
                open_air += cosine * free
                weight += cosine
        for mesh in meshes:
            mesh.release()
        return [open_air / weight for open_air, weight in zip(seen, total)]

    # -- inside -----------------------------------------------------------------------------------------------------

    def _upload(self, posed: PosedPiece, air: Float) -> _Mesh:
        surface = posed.piece.surface
        data = np.hstack([posed.positions, posed.normals, surface.uv, air[:, None]]).astype(np.float32)
        return _Mesh(self.context, data, surface.triangles.astype(np.int32), self._draw, self._depth)

    def _draw_pieces(self, posed: list[PosedPiece], meshes: list[_Mesh], camera: Camera) -> None:
        context = self.context
        context.enable(self._gl.DEPTH_TEST)
        context.disable(self._gl.BLEND)
        order = sorted(range(len(posed)), key=lambda index: posed[index].piece.material.value)
        for index in order:
            self._draw_one(posed[index], meshes[index], solid=True)
        context.enable(self._gl.BLEND)
        context.blend_func = self._gl.SRC_ALPHA, self._gl.ONE_MINUS_SRC_ALPHA
        target = context.fbo
        target.depth_mask = False
        for index in order:
            if posed[index].piece.material in TRANSPARENT:
                meshes[index].sort(posed[index], camera)
                self._draw_one(posed[index], meshes[index], solid=False)
        target.depth_mask = True
        context.disable(self._gl.BLEND)

    def _draw_one(self, posed: PosedPiece, mesh: _Mesh, solid: bool) -> None:
        piece = posed.piece
        self._texture(piece.texture).use(0)
        _set(
            self._draw,
            material=piece.material.value,
            tint=piece.tint,
            solid=int(solid),
            cut=_SOLID_FROM if piece.material in TRANSPARENT else 0.0,
        )
        mesh.draw_array.render()

    def _draw_backdrop(self, backdrop: NDArray[np.uint8]) -> None:
        self.context.disable(self._gl.DEPTH_TEST)
        texture = self.context.texture((backdrop.shape[1], backdrop.shape[0]), 3, np.ascontiguousarray(backdrop).tobytes(), alignment=1)
        texture.use(0)
        corners = self.context.buffer(np.array([-1, -1, 3, -1, -1, 3], np.float32).tobytes())
        array = self.context.vertex_array(self._back, [(corners, "2f", "corner")])
        array.render()
        for thing in (array, corners, texture):
            thing.release()

    def _set_light(self, light: Light, lamp_matrix: Float, lamp_depth: Any, camera: Camera) -> Any:
        lamp_depth.use(1)
        levels, height, width, _ = light.mirrors.shape
        mirrors = self.context.texture_array((width, height, levels), 3, light.mirrors.astype(np.float32).tobytes(), dtype="f4")
        mirrors.repeat_x, mirrors.repeat_y = True, False
        mirrors.use(2)
        _set(self._draw, colour_map=0, lamp_depth=1, mirrors=2, eye=tuple(camera.eye))
        _set(self._draw, key_direction=tuple(light.key_direction), key_colour=tuple(light.key_colour))
        _set(self._draw, lamp_texel=1.0 / _LAMP_SIZE, lamp_blur=_LAMP_SIZE * 0.0035, taps=self.shadow_taps)
        self._draw["harmonics"].write(light.harmonics.astype(np.float32).tobytes())
        self._draw["view"].write(camera.matrix().T.tobytes())
        self._draw["lamp"].write(np.ascontiguousarray(lamp_matrix.T).tobytes())
        return mirrors

    def _depth_picture(self, posed: list[PosedPiece], meshes: list[_Mesh], matrix: Float, size: int) -> Any:
        if size not in self._depth_targets:
            texture = self.context.depth_texture((size, size))
            texture.compare_func = ""
            texture.repeat_x = texture.repeat_y = False
            self._depth_targets[size] = self.context.framebuffer(depth_attachment=texture)
        target = self._depth_targets[size]
        target.use()
        self.context.viewport = (0, 0, size, size)
        target.clear(depth=1.0)
        self.context.enable(self._gl.DEPTH_TEST)
        self._depth["view"].write(np.ascontiguousarray(matrix.T).tobytes())
        for piece, mesh in zip(posed, meshes):
            material = piece.piece.material
            if material in (Material.BROW, Material.LASH):
                continue
            self._texture(piece.piece.texture).use(0)
            _set(self._depth, colour_map=0, cut=0.5 if material is Material.HAIR else 0.0)
            mesh.depth_array.render()
        return target.depth_attachment

    def _target(self, width: int, height: int) -> Any:
        if (width, height) not in self._targets:
            self._targets[(width, height)] = self.context.simple_framebuffer((width, height), components=4)
        return self._targets[(width, height)]

    def _texture(self, stem: str) -> Any:
        if stem not in self._textures:
            image = self.parts.texture(stem)
            texture = self.context.texture((image.shape[1], image.shape[0]), 4, np.ascontiguousarray(image).tobytes())
            texture.build_mipmaps()
            texture.filter = (self._gl.LINEAR_MIPMAP_LINEAR, self._gl.LINEAR)
            self._textures[stem] = texture
        return self._textures[stem]


class _Mesh:
    """Buffers of one posed piece."""

    def __init__(self, context: Any, data: Float, triangles: NDArray[np.int32], draw: Any, depth: Any) -> None:
        self.vertices = context.buffer(np.ascontiguousarray(data).tobytes())
        self.indices = context.buffer(np.ascontiguousarray(triangles).tobytes())
        self.draw_array = context.vertex_array(draw, [(self.vertices, "3f 3f 2f 1f", "position", "normal", "uv", "open_air")], self.indices)
        self.depth_array = context.vertex_array(depth, [(self.vertices, "3f 12x 2f 4x", "position", "uv")], self.indices)

    def sort(self, posed: PosedPiece, camera: Camera) -> None:
        """Puts the triangles in order from far to near."""
        triangles = posed.piece.surface.triangles
        distance = np.linalg.norm(posed.positions - camera.eye, axis=1)[triangles].mean(1)
        self.indices.write(np.ascontiguousarray(triangles[np.argsort(-distance)].astype(np.int32)).tobytes())

    def release(self) -> None:
        """Frees the buffers."""
        for thing in (self.draw_array, self.depth_array, self.vertices, self.indices):
            thing.release()


def open_air(renderer: Renderer, actor: Actor) -> tuple[list[Float], list[Float]]:
    """What each corner sees of the sky with the mouth shut and with the jaw open (AU26 and AU25 at 5)."""
    from bridge.facs import AU_INDEX

    shut, wide = np.zeros(18, np.float32), np.zeros(18, np.float32)
    wide[[AU_INDEX["AU26"], AU_INDEX["AU25"]]] = 5.0
    first, second = (renderer.sky_seen(actor.posed(actor.head(aus))) for aus in (shut, wide))
    return first, second


def mixed_air(air: tuple[list[Float], list[Float]], opening: float) -> list[Float]:
    """``open_air`` between the shut (0) and the open (1) mouth."""
    share = np.float32(np.clip(opening, 0.0, 1.0))
    return [shut + share * (wide - shut) for shut, wide in zip(*air)]


def _set(program: Any, **values: Any) -> None:
    for name, value in values.items():
        if name in program:
            program[name].value = value


def _orthographic(direction: Float) -> Float:
    """(4, 4) clip matrix of a parallel view along -direction that holds head and shoulders."""
    forward = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    helper = np.array([0.0, 1.0, 0.0]) if abs(forward[1]) < 0.95 else np.array([0.0, 0.0, 1.0])
    right = np.cross(helper, forward)
    right /= np.linalg.norm(right)
    rows = np.stack([right, np.cross(forward, right), -forward])
    rows /= np.array([[_LAMP_RADIUS], [_LAMP_RADIUS], [2 * _LAMP_RADIUS]])
    matrix = np.eye(4)
    matrix[:3, :3] = rows
    matrix[:3, 3] = -rows @ _LAMP_CENTRE
    return matrix.astype(np.float32)


def _sphere(count: int) -> Float:
    """(count, 3) directions spread evenly over the sphere, without those from right below."""
    index = np.arange(count) + 0.5
    y = 1.0 - 1.75 * index / count
    angle = index * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt(np.maximum(1.0 - y * y, 0.0))
    return np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], 1).astype(np.float32)


def _reduced(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    if factor == 1:
        return np.ascontiguousarray(image)
    height, width = image.shape[0] // factor, image.shape[1] // factor
    light = _TO_LIGHT[image.reshape(height, factor, width, factor, 3)]
    mean = light.sum((1, 3), dtype=np.float32) / factor**2
    return _FROM_LIGHT[(mean * (len(_FROM_LIGHT) - 1)).astype(np.int32)]
