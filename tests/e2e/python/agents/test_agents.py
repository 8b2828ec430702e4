"""Agents of the unmodified PyPI `livekit-agents`, dispatched by rooms, by tokens and by `livekit-api`."""

import os
import subprocess
import sys
import tempfile
import uuid
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from livekit import api, rtc

from conftest import KEY, SECRET, Server, until

pytestmark = pytest.mark.asyncio

# A worker imports hundreds of modules first.
START = 60
PATIENCE = 30


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest_asyncio.fixture
async def lk(server):
    async with api.LiveKitAPI(server.http, KEY, SECRET) as client:
        yield client


class Worker:
    def __init__(self, server, agent_name):
        self.log = tempfile.NamedTemporaryFile("w+b")
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= {"LIVEKIT_URL": server.url, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("worker.py"), agent_name],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=environment,
        )

    def lines(self):
        return Path(self.log.name).read_text(errors="replace").splitlines()

    async def says(self, start, patience=PATIENCE):
        try:
            await until(start, patience, lambda: any(line.startswith(start) for line in self.lines()))
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.lines()[-40:]])) from None

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


@contextmanager
def worker(server, agent_name=""):
    worker = Worker(server, agent_name)
    try:
        yield worker
    finally:
        worker.stop()


@asynccontextmanager
async def joined(server, room, identity, agents=()):
    """Somebody in a room, which is made with these agents if it is new."""
    token = api.AccessToken(KEY, SECRET).with_identity(identity)
    token = token.with_grants(api.VideoGrants(room_join=True, room=room))
    if agents:
        token = token.with_room_config(api.RoomConfiguration(agents=list(agents)))
    person = rtc.Room()
    await person.connect(server.url, token.to_jwt())
    try:
        yield person
    finally:
        await person.disconnect()


def agents_of(person, told=None):
    found = [p for p in person.remote_participants.values() if p.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT]
    return [agent for agent in found if told is None or agent.attributes.get("told") == f"<{told}>"]


@pytest.fixture
def room():
    """A name that no run had before."""
    return f"room-{uuid.uuid4()}"


async def test_a_room_gets_an_agent_which_is_ended_with_the_room(server, lk, room):
    with worker(server) as unnamed:
        await unnamed.says("registered AW_", START)
        async with joined(server, room, "alice") as alice:
            await unnamed.says(f"joined {room}")
            (agent,) = await until("the agent", PATIENCE, lambda: agents_of(alice, ""))
            assert agent.identity == "agent-" + agent.attributes["job"]
            (dispatch,) = await lk.agent_dispatch.list_dispatch(room)
            assert dispatch.id.startswith("AD_") and dispatch.agent_name == ""
            (job,) = dispatch.state.jobs
            assert (job.id, job.state.participant_identity) == (agent.attributes["job"], agent.identity)
            assert job.state.status == api.JobStatus.JS_RUNNING and job.state.started_at > 0
            info = await lk.room.get_participant(api.RoomParticipantIdentity(room=room, identity=agent.identity))
            assert info.kind == api.ParticipantInfo.Kind.AGENT
            await lk.room.delete_room(api.DeleteRoomRequest(room=room))
            await unnamed.says(f"ended {room}")
        with pytest.raises(api.TwirpError) as error:
            await lk.agent_dispatch.list_dispatch(room)
        assert error.value.code == api.TwirpErrorCode.NOT_FOUND


async def test_named_agents_come_when_they_are_dispatched_even_if_their_worker_is_late(server, lk, room):
    echo = api.RoomAgentDispatch(agent_name="echo", metadata="by token")
    async with joined(server, room, "alice", [echo]) as alice:
        (by_token,) = await lk.agent_dispatch.list_dispatch(room)
        assert (by_token.agent_name, by_token.metadata) == ("echo", "by token")
        with worker(server, "echo") as named:
            await named.says("registered AW_", START)
            await until("the agent of the token", PATIENCE, lambda: agents_of(alice, "by token"))
            request = api.CreateAgentDispatchRequest(agent_name="echo", room=room, metadata="by call")
            by_call = await lk.agent_dispatch.create_dispatch(request)
            (agent,) = await until("the agent of the call", PATIENCE, lambda: agents_of(alice, "by call"))
            assert agent.attributes["lk.agent_name"] == "echo"
            deleted = await lk.agent_dispatch.delete_dispatch(by_call.id, room)
            assert deleted.state.deleted_at > 0
            await named.says(f"ended {room}")
            await until("the agent has left", PATIENCE, lambda: not agents_of(alice, "by call"))
            assert len(agents_of(alice, "by token")) == 1, "the other one stays"
            (left,) = await lk.agent_dispatch.list_dispatch(room)
            assert left.id == by_token.id
