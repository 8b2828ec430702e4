"""A Python participant for the browser tests: publishes a tone and a picture, and prints what it receives, as JSON lines.

Arguments: URL, token.
"""

import asyncio
import json
import sys

from participant import Participant


async def main(url, token):
    guest = Participant()
    await guest.room.connect(url, token)
    await guest.publish_tone()
    await guest.publish_picture(640, 360, simulcast=True)
    told = False
    while True:
        if guest.data and not told:
            told = True
            await guest.room.local_participant.publish_data("hello from Python", reliable=True, topic="chat")
        report = {
            "frames": guest.video_frames,
            "levels": guest.video_levels,
            "energy": guest.audio_energy,
            "data": [packet.data.decode() for packet in guest.data],
        }
        print(json.dumps(report), flush=True)
        await asyncio.sleep(0.25)


asyncio.run(main(*sys.argv[1:3]))
