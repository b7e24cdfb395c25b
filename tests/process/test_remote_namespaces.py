# SPDX-License-Identifier: GPL-3.0-or-later
"""The remote route as people take it: two computers (network namespaces) joined by a cable, an SSH tunnel, a job through it.

Needs root, ``ip`` and OpenSSH's client and server; skipped without them. Nothing of this computer's own SSH set-up is read or changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.remote import RemoteClient, RemotePlace
from tests.bridge.shots import plain_track
from tests.process.backends import ROOT, finished, gather, outcome
from tests.process.test_remote import material, shot_of

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
TOOLS = all(shutil.which(name) for name in ("ip", "ssh", "ssh-keygen")) and SSHD is not None
ROOT_USER = hasattr(os, "geteuid") and os.geteuid() == 0

pytestmark = [pytest.mark.process, pytest.mark.skipif(not (TOOLS and ROOT_USER), reason="needs root, ip, ssh and sshd")]

NEAR, FAR = "10.213.77.1", "10.213.77.2"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=30)


@pytest.fixture
def far_space() -> Iterator[str]:
    """A network namespace that reaches ours over one cable and nothing else."""
    name = f"autter-far-{os.getpid()}"
    if run("ip", "netns", "add", name).returncode != 0:
        pytest.skip("this computer gives out no network namespaces")
    try:
        cable = f"au{os.getpid()}"
        made = run("ip", "link", "add", cable, "type", "veth", "peer", "name", "far0", "netns", name)
        if made.returncode != 0:
            pytest.skip(f"no virtual cable: {made.stderr.strip()}")
        run("ip", "addr", "add", f"{NEAR}/30", "dev", cable)
        run("ip", "link", "set", cable, "up")
        for words in (("addr", "add", f"{FAR}/30", "dev", "far0"), ("link", "set", "far0", "up"), ("link", "set", "lo", "up")):
            run("ip", "-n", name, *words)
        yield name
    finally:
        run("ip", "netns", "del", name)


@pytest.fixture
def tunnel_options(far_space: str, tmp_path: Path) -> Iterator[list[str]]:
    """An SSH server there with keys of its own; what ``ssh`` needs to reach it."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    for key in ("host", "user"):
        assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)).returncode == 0
    (keys / "authorized").write_text((keys / "user.pub").read_text())
    (keys / "sshd_config").write_text(
        f"Port 2222\nListenAddress {FAR}\nHostKey {keys / 'host'}\nAuthorizedKeysFile {keys / 'authorized'}\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile {keys / 'pid'}\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    command = ["ip", "netns", "exec", far_space, str(SSHD), "-D", "-e", "-f", str(keys / "sshd_config")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        options = {"StrictHostKeyChecking": "no", "UserKnownHostsFile": keys / "known", "ExitOnForwardFailure": "yes", "BatchMode": "yes"}
        told = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        yield ["-F", "none", "-i", str(keys / "user"), "-p", "2222", *told]
        server.terminate()


@pytest.fixture
def far_backend(far_space: str, tmp_path: Path) -> Iterator[dict]:
    """A backend in that namespace, with a folder of its own for what arrives."""
    place = tmp_path / "far"
    place.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)}
    script = Path(__file__).with_name("remote_backend.py")
    command = ["ip", "netns", "exec", far_space, sys.executable, "-Psu", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        yield {**ready, "folder": place, "port": int(ready["address"].rpartition(":")[2])}
        process.terminate()
        assert process.wait(20) == 0
    assert list(place.glob("autter-*")) == []


def test_a_job_through_an_ssh_tunnel_between_two_namespaces(far_backend: dict, tunnel_options: list[str], tmp_path: Path) -> None:
    direct = RemoteClient(RemotePlace.read(str(far_backend["port"]), far_backend["token"]), log_path=tmp_path / "log")
    portrait, voice = material(tmp_path, os.urandom(2 * 2**20 + 5))
    assert outcome(direct, direct.find_portrait(portrait)).header["code"] == "backend-unreachable", "there is no wall between the two"
    port = 40000 + os.getpid() % 20000
    command = ["ssh", *tunnel_options, "-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{far_backend['port']}", f"root@{FAR}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as tunnel:
        try:
            client = RemoteClient(RemotePlace.read(f"127.0.0.1:{port}", far_backend["token"]), log_path=tmp_path / "log")
            ends = time.monotonic() + 30
            while (found := outcome(client, client.find_portrait(portrait))).kind != "result":
                assert tunnel.poll() is None and time.monotonic() < ends, (found.header, tunnel.stderr and tunnel.stderr.read())
                time.sleep(0.5)
                client = RemoteClient(client._place, log_path=tmp_path / "log")
            assert Path(found.header["place"]).is_relative_to(far_backend["folder"])
            out = tmp_path / "home" / "talk.mp4"
            job = client.render(shot_of(portrait, voice), plain_track(), out)
            assert gather(client, finished(job))[-1].kind == "result"
            assert out.read_bytes() == voice.read_bytes() + b"a face"
            last = client.render(shot_of(portrait, voice), plain_track(), out)
            tunnel.terminate()
            tunnel.wait(10)
            ended = outcome(client, last)
            assert ended.kind == "result" or ended.header["code"] == "remote-lost"
            assert [path.name for path in out.parent.iterdir()] == ["talk.mp4"], "half a movie was left"
            client.close()
        finally:
            with suppress(OSError):
                tunnel.terminate()
