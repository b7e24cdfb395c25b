# SPDX-License-Identifier: GPL-3.0-or-later
"""Frame rates as the fractions that they are meant to be."""

from __future__ import annotations

from fractions import Fraction

_NTSC_RATES = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))


def exact_rate(rate: float | str | Fraction) -> Fraction:
    """The frame rate meant: 23.976, 29.97 and 59.94 are the NTSC fractions 24000/1001, 30000/1001 and 60000/1001.

    Raises ValueError for anything that is not a number, OverflowError for an infinite one, ZeroDivisionError for a denominator of 0.
    """
    fraction = Fraction(rate)
    for ntsc in _NTSC_RATES:
        if abs(fraction - ntsc) < ntsc / 20000:
            return ntsc
    return fraction.limit_denominator(1001)
