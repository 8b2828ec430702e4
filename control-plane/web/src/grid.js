// The participants as tiles: picture or initial, name, muted microphone, ring of the active speaker.

import { Track } from 'livekit-client';

import { microphoneIcon } from './icons.js';

export class Grid {
  constructor(root) {
    this.root = root;
    this.tiles = new Map();
    new ResizeObserver(() => this.arrange()).observe(root);
  }

  show(participants, local) {
    const present = new Set(participants.map((participant) => participant.sid));
    for (const [sid, tile] of this.tiles) {
      if (!present.has(sid)) {
        tile.remove();
        this.tiles.delete(sid);
      }
    }
    for (const participant of participants) {
      let tile = this.tiles.get(participant.sid);
      if (!tile) {
        tile = new Tile(participant, participant === local);
        this.tiles.set(participant.sid, tile);
        this.root.append(tile.root);
      }
      tile.show(participant);
    }
    this.arrange();
  }

  // The number of columns that makes the tiles largest.
  arrange() {
    const count = this.tiles.size;
    const style = getComputedStyle(this.root);
    const gap = parseFloat(style.columnGap) || 0;
    const width = this.root.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const height = this.root.clientHeight;
    let best = 0;
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const byWidth = (width - gap * (columns - 1)) / columns;
      const byHeight = ((height - gap * (rows - 1)) / rows) * (16 / 9);
      best = Math.max(best, Math.min(byWidth, byHeight));
    }
    this.root.style.setProperty('--tile-width', `${Math.max(Math.floor(best), 160)}px`);
  }

  clear() {
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
  }
}

class Tile {
  constructor(participant, isLocal) {
    this.isLocal = isLocal;
    this.video = null;
    this.audio = null;
    this.root = document.createElement('article');
    this.root.className = 'tile';
    this.root.dataset.testid = 'tile';
    this.root.dataset.identity = participant.identity;
    this.root.dataset.local = String(isLocal);
    this.root.innerHTML =
      '<div class="initial" aria-hidden="true"></div><div class="plate"><i data-testid="mic-muted" hidden></i><span data-testid="tile-name"></span></div>';
    this.initial = this.root.querySelector('.initial');
    this.muted = this.root.querySelector('i');
    this.muted.innerHTML = microphoneIcon(false);
    this.name = this.root.querySelector('span');
  }

  show(participant) {
    const name = participant.name || participant.identity;
    this.name.textContent = this.isLocal ? `${name} (you)` : name;
    this.initial.textContent = [...name][0]?.toUpperCase() ?? '?';
    this.root.classList.toggle('speaking', participant.isSpeaking);
    this.muted.hidden = participant.isMicrophoneEnabled;
    const camera = participant.getTrackPublication(Track.Source.Camera);
    this.video = this.swap(this.video, camera?.isMuted ? undefined : camera?.videoTrack);
    const userFacing = camera?.videoTrack?.mediaStreamTrack?.getSettings?.().deviceId !== undefined;
    this.root.classList.toggle('mirror', this.isLocal && userFacing && camera?.trackName !== 'pattern');
    if (!this.isLocal) {
      this.audio = this.swap(this.audio, participant.getTrackPublication(Track.Source.Microphone)?.audioTrack);
    }
  }

  remove() {
    this.video = this.swap(this.video, undefined);
    this.audio = this.swap(this.audio, undefined);
    this.root.remove();
  }

  // Attaches the track unless it is the one attached already.
  swap(attached, track) {
    if (attached?.track === track) return attached;
    if (attached) {
      attached.track.detach(attached.element);
      attached.element.remove();
    }
    if (!track) return null;
    const element = track.attach();
    element.muted = this.isLocal;
    element.dataset.testid = track.kind;
    this.root.prepend(element);
    return { track, element };
  }
}
