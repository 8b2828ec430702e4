"""Processes die, clients die, and strangers send garbage: calls go on, or come back by themselves."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from livekit import rtc

from conftest import until
from deployment import Deployment, is_alive
from participant import Participant

pytestmark = pytest.mark.asyncio


async def call(server, room="call"):
    """Alice publishes and bob receives; returns when pictures flow."""
    alice = await Participant().join(server, room, "alice")
    bob = await Participant().join(server, room, "bob")
    await alice.publish_tone()
    await alice.publish_picture(160, 90, fps=15)
    await until("pictures", 20, lambda: bob.video_frames.get("alice", 0) > 10)
    return alice, bob


async def flows(receiver, seconds):
    """How many pictures of alice arrive in each of the next seconds."""
    counts = []
    for _ in range(seconds):
        before = receiver.video_frames["alice"]
        await asyncio.sleep(1)
        counts.append(receiver.video_frames["alice"] - before)
    return counts


async def more_pictures(receiver, patience):
    """Waits for enough of them that they cannot have been under way before."""
    before = receiver.video_frames.get("alice", 0)
    await until("pictures again", patience, lambda: receiver.video_frames.get("alice", 0) > before + 20)


def disconnected(participant):
    return [event for event in participant.events if event[0] == "disconnected"]


# USERNAME and the head of MESSAGE-INTEGRITY.
STRANGERS_NAME = bytes.fromhex("00060009") + b"00ab:efgh\0\0\0" + bytes.fromhex("00080014")


def garbage(seed):
    """Endless datagrams that no client sends: of each protocol's first byte, cut anywhere, of any length."""
    numbers = random.Random(seed)
    cookie = bytes.fromhex("2112a442")
    while True:
        tail = numbers.randbytes(numbers.choice([0, 1, 3, 7, 11, 12, 19, 20, 40, 200, 1200, 1500]))
        length = len(tail).to_bytes(2, "big")
        yield from [
            numbers.randbytes(numbers.randrange(64)),
            tail,
            b"\x00\x01" + length + cookie + tail,
            b"\x00\x01\x00\x28" + cookie + numbers.randbytes(12) + STRANGERS_NAME + numbers.randbytes(20),
            b"\x01\x01\x00\x00" + cookie + numbers.randbytes(12),
            bytes([numbers.randrange(20, 26)]) + b"\xfe\xfd" + numbers.randbytes(8) + length + tail,
            b"\x80" + bytes([numbers.randrange(128)]) + tail,
            b"\xbf\xff" + tail,
            b"\x80" + bytes([numbers.randrange(192, 224)]) + length + tail,
            b"\x81\xc9\xff\xff" + tail,
            bytes([numbers.randrange(64, 80)]) + tail,
            b"\x17\xfe\xfd" + bytes(8) + b"\xff\xff",
        ]


@pytest.mark.parametrize("io", ["io_uring", "epoll"])
async def test_garbage_on_the_media_port_is_counted_and_the_call_goes_on(io):
    server = Deployment("--io", io)
    alice, bob = await call(server)
    try:
        before = server.media_counters()
        sending = asyncio.ensure_future(send_garbage(server.udp_port, 20_000))
        rates = await flows(bob, 4)
        await sending
        after = server.media_counters()
        assert min(rates) > 0, rates
        assert not disconnected(alice) and not disconnected(bob)
        await more_pictures(bob, 10)
        change = {name: value - before.get(name, 0) for name, value in after.items()}
        seen = {name: value for name, value in change.items() if value}
        for name in ["short", "foreign", "unknown_path", "stun_rate_limited"]:
            assert change[f"discarded_{name}"] > 500, f"{name} in {seen}"
        for name in ["stun_malformed", "stun_not_binding", "stun_unknown_ufrag"]:
            assert change[f"discarded_{name}"] > 0, f"{name} in {seen}"
        discarded = sum(value for name, value in change.items() if name.startswith("discarded_"))
        assert discarded > 15_000, "most were not lost on the way"
        ends = change["datagrams_forwarded"] + change["datagrams_consumed"] + discarded
        assert change["datagrams_received"] == ends, "every packet ends one way"
        assert change["paths"] == 0 and change["peers"] == 0 and change["helper_peers"] == 0, "strangers leave nothing"
        assert after["worker_panics"] == 0 and after["helper_panics"] == 0
    finally:
        await alice.leave()
        await bob.leave()
        server.stop()


async def send_garbage(port, count):
    datagrams = garbage(7)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    for number in range(count):
        sockets[number % len(sockets)].sendto(next(datagrams), ("127.0.0.1", port))
        if number % 100 == 99:
            await asyncio.sleep(0.01)
    for each in sockets:
        each.close()


async def test_media_flows_on_without_the_control_plane_and_the_next_one_has_them_back():
    server = Deployment()
    # Nobody is told of the death: a client that is refused a connection takes down its own media.
    path = await SilentPath.to(server)
    alice, bob = await call(server)
    try:
        media = server.media_pid()
        server.kill_control()
        rates = await flows(bob, 6)
        assert min(rates) > 0, rates
        assert is_alive(media)
        assert not disconnected(alice) and not disconnected(bob)
        server.start()
        path.cut()
        await more_pictures(bob, 40)
        assert is_alive(media), "the next control plane took it over"
        await until("all are connected", 20, lambda: all(connected(each) for each in [alice, bob]))
        carol = await Participant().join(server, "call", "carol")
        await until("carol sees alice", 20, lambda: carol.video_frames.get("alice", 0) > 0)
        await carol.leave()
    finally:
        await alice.leave()
        await bob.leave()
        server.stop()


class SilentPath:
    """A network between clients and a server that does not say when the server's end is gone."""

    @classmethod
    async def to(cls, server):
        path = cls()
        path.port = server.port
        path.clients = set()
        path.listener = await asyncio.start_server(path.serve, "127.0.0.1", 0)
        server.url = f"ws://127.0.0.1:{path.listener.sockets[0].getsockname()[1]}"
        return path

    async def serve(self, reader, writer):
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.add(writer)
        await asyncio.gather(relay(reader, upstream_writer), relay(upstream_reader, writer))

    def cut(self):
        for writer in self.clients:
            writer.transport.abort()
        self.clients.clear()


async def relay(reader, writer):
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass


def connected(participant):
    return participant.room.connection_state == rtc.ConnectionState.CONN_CONNECTED


async def test_a_killed_media_plane_is_replaced_and_clients_come_back_by_themselves():
    server = Deployment()
    alice, bob = await call(server)
    carol = None
    try:
        media = server.media_pid()
        reconnecting = []
        for each in [alice, bob]:
            each.room.on("reconnecting", lambda: reconnecting.append(True))
        os.kill(media, signal.SIGKILL)
        carol = await asyncio.wait_for(join_when_possible(server, "carol"), 10)
        assert server.media_pid() != media
        await more_pictures(bob, 40)
        await until("carol sees alice", 20, lambda: carol.video_frames.get("alice", 0) > 0)
        assert len(reconnecting) >= 2, "both were told"
        assert not disconnected(alice) and not disconnected(bob)
    finally:
        for each in [alice, bob, carol]:
            if each:
                await each.leave()
        server.stop()


async def join_when_possible(server, identity):
    while True:
        try:
            return await Participant().join(server, "call", identity)
        except rtc.ConnectError:
            await asyncio.sleep(0.2)


async def test_dead_clients_are_removed_and_freed():
    server = Deployment()
    watcher = await Participant().join(server, "deaths", "watcher")
    clients = {}
    try:
        await until("the watcher's transports", 10, lambda: server.media_counters()["paths"] >= 1)
        await asyncio.sleep(1)
        before = held(server)
        for identity in ["killed", "stopped"]:
            clients[identity] = publisher(server, identity)
        await until("their pictures", 30, lambda: len(watcher.video_frames) == 2)
        assert held(server)["publications"] == before["publications"] + 4
        # The system closes the sockets of the one, nobody those of the other: as if its host had lost power.
        clients["killed"].kill()
        clients["stopped"].send_signal(signal.SIGSTOP)
        for identity in clients:
            await until(f"{identity} is gone", 40, lambda: ("left", identity) in watcher.events)
        await until("all of theirs is freed", 5, lambda: held(server) == before)
        assert not disconnected(watcher)
    finally:
        for process in clients.values():
            process.kill()
            process.wait()
        await watcher.leave()
        server.stop()


def publisher(server, identity):
    script = Path(__file__).with_name("publisher.py")
    return subprocess.Popen([sys.executable, script, server.url, server.token("deaths", identity)])


def held(server):
    """What a media plane keeps for its clients."""
    counters = server.media_counters()
    names = ["peers", "publications", "subscriptions", "paths", "ufrags", "history_buffers", "helper_peers"]
    names += ["helper_routes", "helper_dtls_associations", "helper_sctp_associations", "resources_peer"]
    return {name: counters[name] for name in names}


async def test_an_external_media_plane_serves_one_control_plane_after_the_other():
    server = Deployment(external_media=True)
    try:
        for room in ["first", "second"]:
            alice, bob = await call(server, room)
            assert server.children() == set()
            await alice.leave()
            await bob.leave()
            server.kill_control()
            assert is_alive(server.media_pid())
            if room == "first":
                server.start()
    finally:
        server.stop()
