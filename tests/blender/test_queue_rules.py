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


def test_a_render_of_another_file_shows_no_frames_here(addon, book, monkeypatch):
    """They would be an image that Blender asks to save with a file that has nothing to do with it."""
    import numpy as np

    monkeypatch.setattr(addon.backend_link, "book", book)
    book.add(job(addon, 1))
    book.file_closed()
    for number, shown in ((1, False), (2, True)):
        if shown:
            book.add(job(addon, number, generation=book.generation))
        book.take_event(addon.bridge.client.Event("preview", number, {}, {"image": np.zeros((4, 6, 3), np.uint8)}))
        addon.ticks.tick()
        assert (addon.pictures.PROGRESS in bpy.data.images) == shown, number


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


@pytest.mark.parametrize(
    ("code", "offered"), [("backend-died", True), ("backend-restarts", True), ("cancelled", False), ("face-none", False)]
)
def test_what_the_backend_did_not_finish_is_offered_again(addon, code, offered):
    import faces

    client = faces.double(addon)
    book = addon.backend_link.book
    left = book.add(job(addon, 5, generation=book.generation))
    event = addon.bridge.client.Event
    book.take_event(event("started", 5))
    book.take_event(event("progress", 5, {"done": 7, "total": 9}))
    book.take_event(event("failed", 5, fault(addon, code).to_dict()))
    addon.backend_link.collect_faults()
    assert addon.reports.latest_problem().code == code
    shown = addon.panel_state.read(bpy.context, None).lost
    assert [number for number, _ in shown] == ([5] if offered else [])
    if not offered:
        assert not bpy.ops.autter.run_again.poll()
        return
    left.send = lambda asked: asked.find_portrait("x") + 500
    addon.backend_link.run_again(left)
    assert client.requests and list(book.open) == [501] and not book.lost and not left.started and left.fraction == 0
    book.take_event(event("failed", 501, fault(addon, code).to_dict()))  # the next backend dies as well: offered once more
    addon.backend_link.collect_faults()
    assert bpy.ops.autter.forget_lost(job=501) == {"FINISHED"} and not addon.panel_state.read(bpy.context, None).lost


def test_a_lost_job_of_another_file_is_offered_too(addon):
    book = addon.backend_link.book
    for number in (5, 6):
        book.add(job(addon, number, generation=book.generation))
    event = addon.bridge.client.Event
    book.take_event(event("failed", 5, fault(addon, "backend-died").to_dict()))
    book.file_closed()
    book.take_event(event("failed", 6, fault(addon, "backend-died").to_dict()))
    addon.backend_link.collect_faults()
    assert [left.number for left in book.lost] == [5, 6] and not book.finished and not book.parked


def test_a_job_that_is_offered_again_is_done_by_one_click(addon, tmp_path, monkeypatch):
    """A render dies with its backend; Run Again makes the movie with the motion that it had, whatever was keyed meanwhile."""
    import faces

    calls = []

    def rendering(request):
        calls.append(request)
        if len(calls) == 1:
            return fault(addon, "backend-died")
        return fault(addon, "face-none")

    client = faces.double(addon, render=rendering)
    actor = faces.actor(addon, tmp_path)
    origin = addon.backend_link.origin(bpy.context.scene, actor)
    addon.backend_link.start_job("render", lambda asked: asked.render("shot", "track", "/x/movie.mp4"), origin, {})
    while not addon.backend_link.book.finished:
        addon.backend_link.poll()
    addon.backend_link.collect_faults()
    monkeypatch.setattr(addon.operators_base.WaitingOperator, "waits", lambda self: False)
    assert bpy.ops.autter.run_again() == {"FINISHED"}
    assert [request.shot for request in client.requests] == ["shot", "shot"] and client.requests[1].out_path == "/x/movie.mp4"
    while not addon.backend_link.book.finished:
        addon.backend_link.poll()
    addon.backend_link.collect_faults()
    assert not addon.backend_link.book.lost, "a job that failed by itself is offered again"


def test_the_panel_offers_what_was_not_finished(addon):
    from types import SimpleNamespace

    from test_operators import LayoutDouble

    book, drawn = addon.backend_link.book, []
    left = book.add(job(addon, 5, generation=book.generation))
    book.take_event(addon.bridge.client.Event("failed", 5, fault(addon, "backend-died").to_dict()))
    addon.backend_link.collect_faults()
    addon.panel_state.forget()
    addon.panel_backend.BackendPanel.draw(SimpleNamespace(layout=LayoutDouble(drawn)), bpy.context)
    assert f"{left.title} Scene: not finished" in drawn and {"autter.run_again", "autter.forget_lost"} <= set(drawn)
