# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


def add_arguments(parser):
    pass


def run(choice):
    pass
