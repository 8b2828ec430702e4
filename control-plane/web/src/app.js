// The page: a lobby and a call. Everything that happens to the room ends in render().

import { ConnectionState, Room, RoomEvent, Track, VideoPresets } from 'livekit-client';

import { startPattern } from './pattern.js';
import { Grid } from './grid.js';
import { cameraIcon, microphoneIcon } from './icons.js';

const element = (id) => document.getElementById(id);
const grid = new Grid(element('grid'));

let room = null;
let pattern = null;

prepareLobby();

element('join').addEventListener('submit', (event) => {
  event.preventDefault();
  join().catch(showError);
});
element('leave').addEventListener('click', () => room?.disconnect());
element('listen').addEventListener('click', () => room?.startAudio().catch(showError));
element('microphone').addEventListener('click', () => toggle('microphone'));
element('camera').addEventListener('click', () => toggle('camera'));
element('error').addEventListener('click', () => (element('error').hidden = true));
window.addEventListener('pagehide', () => room?.disconnect());

// ?name=&room=&source=pattern&join=1 fills in the form, and submits it.
function prepareLobby() {
  const parameters = new URLSearchParams(location.search);
  element('name').value = parameters.get('name') ?? `guest-${Math.random().toString(36).slice(2, 6)}`;
  element('room').value = parameters.get('room') ?? 'lobby';
  const source = document.querySelector(`input[name=source][value="${CSS.escape(parameters.get('source') ?? '')}"]`);
  if (source) source.checked = true;
  if (parameters.get('join')) queueMicrotask(() => element('join').requestSubmit());
}

async function join() {
  const form = new FormData(element('join'));
  const name = form.get('name').trim();
  const roomName = form.get('room').trim();
  element('error').hidden = true;
  element('enter').disabled = true;
  try {
    const token = await fetchToken(roomName, name);
    room = new Room({ adaptiveStream: true, dynacast: true });
    window.room = room; // for the console, and for tests
    listen(room);
    await room.connect(location.origin.replace(/^http/, 'ws'), token);
  } catch (error) {
    room = null;
    throw error;
  } finally {
    element('enter').disabled = false;
  }
  element('title').textContent = roomName;
  element('lobby').hidden = true;
  element('call').hidden = false;
  document.title = `${roomName} · Millrace`;
  render();
  await publish(form.get('source'), name);
  render();
}

async function fetchToken(roomName, identity) {
  const response = await fetch(`/dev/token?${new URLSearchParams({ room: roomName, identity })}`);
  if (!response.ok) throw new Error(`The server gave no token: ${await response.text()}`);
  return (await response.json()).token;
}

async function publish(source, name) {
  const local = room.localParticipant;
  if (source === 'devices') {
    // One of them may be missing or denied: the other still goes.
    await local.setMicrophoneEnabled(true).catch(showError);
    await local.setCameraEnabled(true, { resolution: VideoPresets.h720.resolution }).catch(showError);
  } else if (source === 'pattern') {
    pattern = await startPattern(name);
    await local.publishTrack(pattern.audio, { source: Track.Source.Microphone, name: 'tone' });
    await local.publishTrack(pattern.video, { source: Track.Source.Camera, name: 'pattern', simulcast: true });
  }
}

async function toggle(what) {
  const local = room?.localParticipant;
  if (!local) return;
  element(what).disabled = true;
  try {
    if (what === 'microphone') await local.setMicrophoneEnabled(!local.isMicrophoneEnabled);
    else await local.setCameraEnabled(!local.isCameraEnabled);
  } catch (error) {
    showError(error);
  }
  element(what).disabled = false;
  render();
}

function listen(room) {
  const redraw = [
    RoomEvent.ParticipantConnected, RoomEvent.ParticipantDisconnected, RoomEvent.ParticipantNameChanged,
    RoomEvent.TrackSubscribed, RoomEvent.TrackUnsubscribed, RoomEvent.TrackMuted, RoomEvent.TrackUnmuted,
    RoomEvent.LocalTrackPublished, RoomEvent.LocalTrackUnpublished, RoomEvent.ActiveSpeakersChanged,
    RoomEvent.ConnectionStateChanged, RoomEvent.AudioPlaybackStatusChanged,
  ];
  for (const event of redraw) room.on(event, render);
  room.on(RoomEvent.MediaDevicesError, showError);
  room.on(RoomEvent.TrackSubscriptionFailed, (sid) => showError(new Error(`Could not receive track ${sid}`)));
  room.on(RoomEvent.Disconnected, leave);
}

function leave(reason) {
  // CLIENT_INITIATED is 1; anything else was not our doing.
  if (reason !== undefined && reason !== 1) showError(new Error(`Disconnected by the server (reason ${reason})`));
  pattern?.stop();
  pattern = null;
  room = null;
  grid.clear();
  element('call').hidden = true;
  element('lobby').hidden = false;
  document.title = 'Millrace';
}

function render() {
  if (!room || room.state === ConnectionState.Disconnected) return;
  const participants = [room.localParticipant, ...room.remoteParticipants.values()];
  grid.show(participants, room.localParticipant);
  element('count').textContent = participants.length === 1 ? 'only you' : `${participants.length} people`;
  element('status').textContent = room.state;
  element('status').dataset.state = room.state;
  element('listen').hidden = room.canPlaybackAudio;
  showToggle('microphone', room.localParticipant.isMicrophoneEnabled, microphoneIcon, 'microphone');
  showToggle('camera', room.localParticipant.isCameraEnabled, cameraIcon, 'camera');
}

function showToggle(id, on, icon, label) {
  const button = element(id);
  button.setAttribute('aria-pressed', String(on));
  button.setAttribute('aria-label', on ? `Turn ${label} off` : `Turn ${label} on`);
  button.title = button.getAttribute('aria-label');
  button.innerHTML = icon(on);
}

function showError(error) {
  console.error(error);
  const shown = element('error');
  shown.textContent = error?.message || String(error);
  shown.hidden = false;
}
