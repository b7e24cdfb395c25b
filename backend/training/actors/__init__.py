# SPDX-License-Identifier: GPL-3.0-or-later
"""Synthetic actors: people with known Action Units, visemes and landmarks, drawn or as landmark tracks."""
