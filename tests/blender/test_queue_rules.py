# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs by themselves, without a backend: what is retried, parked, listed and in what order."""

from __future__ import annotations

import pytest

bpy = pytest.importorskip("bpy")

pytestmark = pytest.mark.blender


@pytest.fixture
def book(addon):
    return addon.jobs.JobBook()


def job(addon, number: int, kind: str = "render", filepath: str = "", generation: int = 0):
    origin = addon.jobs.Origin(generation, filepath, "Scene")
    return addon.jobs.Job(number, kind, origin, send=lambda client: number + 100)


def fault(addon, code: str):
    return addon.bridge.faults.Fault(code, "It went wrong.")


def test_only_what_waited_is_retried(addon):
    waiting = job(addon, 1)
    assert not waiting.may_retry()
    waiting.fault = fault(addon, "backend-died")
    assert waiting.may_retry()
    for change in ({"started": True}, {"cancelling": True}, {"retries": addon.jobs.MOST_RETRIES}, {"fault": fault(addon, "face-none")}):
        other = job(addon, 2)
        other.fault = fault(addon, "backend-died")
        for name, value in change.items():
            setattr(other, name, value)
        assert not other.may_retry(), change


def test_a_reopened_job_keeps_its_place_in_the_book(addon, book):
    first = book.add(job(addon, 1))
    event = addon.bridge.client.Event
    book.take_event(event("failed", 1, fault(addon, "backend-died").to_dict()))
    assert book.finished == [first] and not book.open
    book.reopen(first, 7)
    assert book.open == {7: first} and not book.finished and first.fault is None and first.retries == 1


def test_movies_of_unsaved_files_are_parked_predictions_are_not(addon, book):
    event = addon.bridge.client.Event
    for number, kind in ((1, "render"), (2, "predict")):
        book.add(job(addon, number, kind))
    book.file_closed()
    for number in (1, 2):
        book.take_event(event("result", number))
    assert [parked.kind for parked in book.parked] == ["render"]
    origin = addon.jobs.Origin(book.generation, "", "Elsewhere")
    assert book.unpark(1, origin).origin == origin and not book.parked and book.unpark(1, origin) is None


def test_the_running_job_comes_first(addon, book):
    for number in (3, 1, 2):
        book.add(job(addon, number))
    book.take_event(addon.bridge.client.Event("started", 2))
    assert [found.number for found in book.waiting_and_running()] == [2, 1, 3]


def test_the_newest_frame_is_kept(addon, book):
    book.add(job(addon, 1))
    for picture in ("old", "new"):
        book.take_event(addon.bridge.client.Event("preview", 1, {}, {"image": picture}))
    assert book.open[1].picture == "new"


def test_asymmetry_of_halves(addon):
    import numpy as np

    sides = addon.performance.asymmetry(np.array([4.0, 0.0, 2.0, 0.1]), np.array([0.0, 4.0, 2.0, 0.0]))
    assert np.allclose(sides, [1, -1, 0, 0])


def test_captured_readings_lose_their_flicker(addon):
    from fractions import Fraction

    import numpy as np

    readings = np.tile(np.array([[0.0], [2.0]], np.float32), (20, 18))
    even = addon.capture.smoothed(readings, Fraction(30))
    assert even.shape == (40, 18) and np.ptp(even[5:-5]) < 0.3 and abs(even.mean() - 1) < 0.1
    assert np.array_equal(addon.capture.smoothed(readings, Fraction(30), 0.0), readings)
