"""A server whose processes a test can kill, stop and start again on the same ports."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import BINARIES, KEY, SECRET, Server, free_port

COUNTERS = Path(__file__).resolve().parents[1] / "harness" / "counters.mjs"


class Deployment(Server):
    def __init__(self, *arguments, external_media=False, config=()):
        self.arguments = arguments
        self.config = config
        self.port = free_port(socket.SOCK_STREAM)
        self.udp_port = free_port(socket.SOCK_DGRAM)
        self.directory = tempfile.mkdtemp(prefix="millrace-e2e-")
        self.log = open(Path(self.directory) / "log", "w+b")
        self.url = f"ws://127.0.0.1:{self.port}"
        self.http = f"http://127.0.0.1:{self.port}"
        self.socket = f"{self.directory}/media-{self.port}.sock"
        self.external = None
        self.process = None
        self._media = set()
        try:
            if external_media:
                self._start_media()
            self.start()
        except Exception:
            self.stop()
            raise

    def start(self):
        """Starts the control plane, and with it a media plane unless there is one."""
        config = [
            f"port: {self.port}",
            'bind_addresses: ["127.0.0.1"]',
            "development: true",
            f"runtime_dir: {self.directory}",
            "logging: { level: info }",
            f"rtc: {{ udp_port: {self.udp_port}, node_ip: 127.0.0.1, enable_loopback_candidate: true }}",
            *self.config,
        ]
        if self.external:
            config.append(f'media_planes: ["unix:{self.socket}"]')
        arguments = ["--config-body", "\n".join(config), "--keys", f"{KEY}: {SECRET}", *self.arguments]
        self.process = self._spawn("millrace", *arguments)
        self._wait()
        self._media.update(self.children())

    def _start_media(self):
        arguments = ["--grpc", f"unix:{self.socket}", "--workers", "1", "--udp-port", str(self.udp_port)]
        arguments += ["--node-ip", "127.0.0.1", "--enable-loopback-candidate"]
        self.external = self._spawn("millrace-media", *arguments)
        end = time.monotonic() + 10
        while not Path(self.socket).exists():
            if self.external.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"millrace-media does not listen:\n{self.text()}")
            time.sleep(0.05)

    def _spawn(self, name, *arguments):
        return subprocess.Popen([BINARIES / name, *arguments], stdout=self.log, stderr=subprocess.STDOUT)

    def kill_control(self):
        self.process.kill()
        self.process.wait()

    def children(self):
        """The pids of what the control plane started, from whichever thread."""
        lists = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        found = {int(pid) for each in lists for pid in each.read_text().split()}
        self._media |= found
        return found

    def media_pid(self):
        if self.external:
            return self.external.pid
        (pid,) = self.children()
        return pid

    def media_counters(self):
        """Of all workers and of the process, by name; asked of the media plane itself."""
        node = Path(sys.executable).with_name("node")
        answer = subprocess.run([node, COUNTERS, self.socket], capture_output=True, timeout=10, check=True)
        return json.loads(answer.stdout)

    def stop(self):
        if self.process:
            if self.process.poll() is None:
                self.children()
            super().stop()
        if self.external:
            self.external.kill()
            self.external.wait()
        for pid in self._media:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid):
    """A zombie has ended, whoever has yet to hear of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
