"""An agent worker on the unmodified `livekit-agents`: its agents join, say what they were told, and stay until they
are ended. Needs LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET."""

import asyncio
import sys

from livekit.agents import AgentServer, JobContext, JobExecutorType

# Threads start faster than processes, and this machine's load is not this test's business.
server = AgentServer(
    job_executor_type=JobExecutorType.THREAD, load_fnc=lambda: 0.0, host="127.0.0.1", port=0, http_proxy=None
)


async def entrypoint(ctx: JobContext):
    async def ended():
        print(f"ended {ctx.job.room.name}", flush=True)

    ctx.add_shutdown_callback(ended)
    await ctx.connect()
    # An attribute without a value is none.
    await ctx.room.local_participant.set_attributes({"told": f"<{ctx.job.metadata}>", "job": ctx.job.id})
    print(f"joined {ctx.job.room.name}", flush=True)


server.rtc_session(entrypoint, agent_name=sys.argv[1])
server.on("worker_registered", lambda worker, _info: print(f"registered {worker}", flush=True))
asyncio.run(server.run(devmode=True))
