# SPDX-License-Identifier: GPL-3.0-or-later
"""AUtter's backend: voice and Action Units in, a talking-head video out. Runs in an environment of its own, never in Blender."""
