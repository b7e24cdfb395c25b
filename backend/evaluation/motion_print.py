# SPDX-License-Identifier: GPL-3.0-or-later
"""The single tables of the motion evaluation as text: predictors, voices, Action Units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.evaluation.motion_aus import REQUIRED, AuScore
from backend.evaluation.motion_measures import OWN_MEASURE
from backend.evaluation.motion_others import OtherVoice
from backend.evaluation.motion_voice import VoiceScores


def print_voice(rows: Mapping[str, VoiceScores], clips: int) -> None:
    """Predictors on the held-out clips."""
    print(f"\nVoice only, {clips} held-out clips")
    print(f"{'':22} {'gap r':>6} {'p10':>6} {'- wrong':>8} {'lip err':>8} {'lag':>4} {'2nd diff':>9} {'p b m':>6} {'others':>7}")
    for name, row in rows.items():
        lips, others = (f"{value:.2f}" if value is not None else "-" for value in (row.closed_bilabials, row.closed_others))
        wrong = "-" if name == "real clip" else f"{row.voice_share:.2f}"
        lag = "-" if name == "mean face" else f"{row.best_lag:.0f}"
        voice = f"{row.gap_r:6.3f} {row.gap_r_p10:6.3f} {wrong:>8} {row.lip_error_share:8.2f} {lag:>4}"
        print(f"{name:22} {voice} {row.second_difference:9.2f} {lips:>6} {others:>7}")


def print_voices(rows: Mapping[str, OtherVoice | None]) -> None:
    """The generator on other voices."""
    print(f"\n{'Other voices':22} {'clips':>6} {'gap r':>6} {'p10':>6} {'- wrong':>8}")
    for name, row in rows.items():
        if row is None:
            print(f"{name:22} {'missing':>6}")
        else:
            print(f"{name:22} {row.clips:6} {row.gap_r:6.3f} {row.gap_r_p10:6.3f} {row.voice_share:8.2f}")


def print_aus(name: str, rows: Sequence[AuScore]) -> None:
    """Keyed AUs in one situation."""
    print(f"\nKeyed AUs {name}: intensity 4 against 0, % of the inter-ocular distance (AU45: % of the lid gap)")
    print(f"{'':25} {'moved':>6} {'weakest':>8} {'of actors':>10} {'Spearman':>9} {'largest other AU':>18} {'elsewhere':>10}")
    for row in rows:
        verdict = "" if row.key not in REQUIRED else "" if row.passes else "  MISSES THE FLOOR"
        moved = f"{100 * row.response:6.1f} {100 * row.weakest:8.1f} {100 * row.share:8.0f} %"
        others = f"{row.most_others_key} {100 * row.most_others:4.0f} %"
        print(f"{row.key} {OWN_MEASURE[row.key][0]:20} {moved} {row.spearman:9.3f} {others:>18} {100 * row.cross_talk:8.0f} %{verdict}")
