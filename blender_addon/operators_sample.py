# SPDX-License-Identifier: GPL-3.0-or-later
"""New sample scene: the shipped actor, a line of speech and keyed AUs, predicted where a backend is there."""

from __future__ import annotations

import bpy

CLASSES = ()
