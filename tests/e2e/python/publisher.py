"""A client in a process of its own: joins, publishes a tone and a picture, and goes on until it is killed."""

import asyncio
import sys

from participant import Participant


async def main(url, token):
    participant = Participant()
    await participant.room.connect(url, token)
    await participant.publish_tone()
    await participant.publish_picture(160, 90, fps=10)
    print("publishing", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
