// What a real participant does in a call, as the backend is told of it.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { TrackSource } from '@livekit/protocol';
import { startBrowser } from '../harness/browser.mjs';
import { startReceiver } from '../harness/receiver.mjs';
import { KEY, startServer } from '../harness/server.mjs';

let receiver, server, browser;

before(async () => {
  receiver = await startReceiver();
  // Development mode may call loopback addresses.
  server = await startServer([], [`webhook: { urls: ["${receiver.url}"], api_key: ${KEY}, outbox_dir: /proc/none }`]);
  browser = await startBrowser();
});
after(async () => {
  await browser?.stop();
  receiver?.stop();
  server?.tellIfFailed();
  await server?.stop();
});

test('a participant joins, publishes, unpublishes and leaves, and each is told once and in order', async () => {
  const page = await browser.page('current');
  await page.evaluate(([url, token]) => window.call.join(url, token, {}), [server.url, await server.token('call', 'alice')]);
  await receiver.until('alice joined', () => receiver.of('call').includes('participant_joined alice'));
  await page.evaluate(() => window.room.localParticipant.setMicrophoneEnabled(true));
  await receiver.until('a track is published', () => receiver.of('call').includes('track_published alice'));
  await page.evaluate(() => window.room.disconnect());
  await receiver.until('the room is over', () => receiver.of('call').includes('room_finished'));
  assert.deepEqual(receiver.of('call'), [
    'room_started', 'participant_joined alice', 'track_published alice', 'track_unpublished alice',
    'participant_left alice', 'room_finished',
  ]);
  const [, joined, published, unpublished, left, finished] = receiver.events();
  assert.equal(joined.participant.state, 2, 'ACTIVE');
  assert.equal(published.track.source, TrackSource.MICROPHONE);
  assert.equal(published.track.sid, unpublished.track.sid);
  assert.deepEqual([left.participant.sid, left.room.sid], [joined.participant.sid, finished.room.sid]);
  assert.match(server.log(), /in memory only/, 'a directory that cannot be written is said once, and events come all the same');
});
