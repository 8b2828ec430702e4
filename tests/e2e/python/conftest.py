"""Starts the real binaries for a test module, on free ports, and ends them."""

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from livekit import api

ROOT = Path(__file__).resolve().parents[3]
BINARIES = Path(os.environ.get("MILLRACE_BIN", ROOT / "target" / "release"))
KEY = "e2ekey"
SECRET = "e2e-secret-of-more-than-32-characters"
# These have a virtual environment of their own.
collect_ignore = [] if importlib.util.find_spec("livekit.agents") else ["agents"]


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_udp_ports(count):
    """The first of some ports in a row."""
    while True:
        first = free_port(socket.SOCK_DGRAM)
        probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        try:
            for index, probe in enumerate(probes):
                probe.bind(("127.0.0.1", first + index))
            return first
        except (OSError, OverflowError):
            continue
        finally:
            for probe in probes:
                probe.close()


class Server:
    """One `millrace` with its media plane; `lines` are added to its configuration."""

    def __init__(self, *args, lines=()):
        self.port = free_port(socket.SOCK_STREAM)
        self.directory = tempfile.mkdtemp(prefix="millrace-e2e-")
        self.log = open(Path(self.directory) / "log", "w+b")
        config = "\n".join(
            [
                f"port: {self.port}",
                'bind_addresses: ["127.0.0.1"]',
                "development: true",
                f"runtime_dir: {self.directory}",
                "logging: { level: info }",
                "room: { departure_timeout: 2 }",
                f"rtc: {{ udp_port: {free_port(socket.SOCK_DGRAM)},"
                " node_ip: 127.0.0.1, enable_loopback_candidate: true }",
                *lines,
            ]
        )
        self.process = subprocess.Popen(
            [BINARIES / "millrace", "--config-body", config, "--keys", f"{KEY}: {SECRET}", *args],
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.url = f"ws://127.0.0.1:{self.port}"
        self.http = f"http://127.0.0.1:{self.port}"
        try:
            self._wait()
        except Exception:
            self.stop()
            raise

    def _wait(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"millrace ended early:\n{self.text()}")
            try:
                with urllib.request.urlopen(self.http, timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"millrace does not answer:\n{self.text()}")

    def text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def token(self, room, identity, **grants):
        return (
            api.AccessToken(KEY, SECRET)
            .with_identity(identity)
            .with_grants(api.VideoGrants(room_join=True, room=room, **grants))
            .to_jwt()
        )

    def counts(self):
        with urllib.request.urlopen(f"{self.http}/debug/counts", timeout=5) as answer:
            return json.load(answer)

    def stop(self):
        for signal_number, patience in [(signal.SIGTERM, 0.5), (signal.SIGTERM, 5), (signal.SIGKILL, 5)]:
            if self.process.poll() is not None:
                break
            self.process.send_signal(signal_number)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module", params=["io_uring", "epoll"])
def server(request):
    server = Server("--io", request.param)
    yield server
    server.stop()


async def until(what, patience, check):
    """Polls until `check()` is truthy; fails with what was waited for."""
    end = asyncio.get_running_loop().time() + patience
    while True:
        value = check()
        if value:
            return value
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"not within {patience} s: {what}")
        await asyncio.sleep(0.05)


def pytest_sessionfinish(session, exitstatus):
    session.config.status = int(exitstatus)


def pytest_unconfigure(config):
    """Ends without taking the interpreter down: threads of the client library still call into it then, and abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(getattr(config, "status", 1))
