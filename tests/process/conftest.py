# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the process tests. Every test ends with the check that no backend is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.client import Client
from tests.process.backends import RunningBackend, is_gone, running_backend, slow_client, wait_until


@pytest.fixture
def make_client(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Makes clients, by default of the slow backend, and closes them."""
    made: list[Client] = []

    def make(maker: Callable[..., Client] = slow_client, *arguments: Any, **options: Any) -> Client:
        made.append(maker(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    pids = [client._session._process.pid for client in made if client._session and client._session._process]
    for client in made:
        client.close()
    for pid in pids:
        wait_until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """A client of the slow backend."""
    return make_client()


@pytest.fixture(scope="module")
def backend() -> Iterator[RunningBackend]:
    """One slow backend for all tests of a file."""
    with running_backend() as running:
        yield running
