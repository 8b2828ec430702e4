// What the tests drive in the browser: join, publish, look at what arrives. The client itself is unmodified.
(() => {
  const client = new URLSearchParams(location.search).get('client');
  const connections = [];
  const Original = window.RTCPeerConnection;
  // The server's UDP port, and that of a relay which the server's candidates are to name instead.
  const [serverPort, relayPort] = (new URLSearchParams(location.search).get('relay') ?? '').split('-');
  const relayed = (text) => (relayPort ? text.replaceAll(` ${serverPort} typ `, ` ${relayPort} typ `) : text);

  // Statistics are read from every connection that the client makes, and candidates led through a relay, if there is
  // one; nothing else is touched.
  window.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }

    setRemoteDescription({ type, sdp }) {
      return super.setRemoteDescription({ type, sdp: relayed(sdp) });
    }

    addIceCandidate(candidate) {
      return super.addIceCandidate(candidate && { ...(candidate.toJSON?.() ?? candidate), candidate: relayed(candidate.candidate) });
    }
  };
  const script = document.createElement('script');
  script.src = `/client/${client}.js`;
  script.onload = () => {
    window.ready = true;
  };
  document.head.append(script);

  const events = [];
  const elements = new Map();
  let room;

  const note = (name, detail = {}) => events.push({ name, at: Date.now(), ...detail });

  async function join(url, token, options = {}) {
    const { Room, RoomEvent } = LivekitClient;
    room = new Room(options.room ?? {});
    window.room = room;
    for (const name of Object.values(RoomEvent)) {
      room.on(name, (...args) => note(name, describe(args)));
    }
    room.on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
      const element = track.attach();
      document.body.append(element);
      elements.set(publication.trackSid, { element, kind: track.kind, identity: participant.identity });
    });
    room.on(RoomEvent.TrackUnsubscribed, (track, publication) => {
      track.detach().forEach((element) => element.remove());
      elements.delete(publication.trackSid);
    });
    room.on(RoomEvent.DataReceived, (payload, participant, _kind, topic) => {
      note('data', { text: new TextDecoder().decode(payload), from: participant?.identity, topic });
    });
    const started = performance.now();
    await room.connect(url, token, options.connect ?? {});
    return performance.now() - started;
  }

  const describe = (args) => {
    const detail = {};
    for (const arg of args) {
      if (arg?.trackSid) Object.assign(detail, { trackSid: arg.trackSid, kind: arg.kind });
      if (arg?.identity) detail.identity = arg.identity;
      if (typeof arg === 'number' || typeof arg === 'string') detail.value = arg;
      if (Array.isArray(arg)) detail.identities = arg.map((each) => each?.identity).filter(Boolean);
    }
    return detail;
  };

  async function reports() {
    const all = [];
    for (const connection of connections) {
      if (connection.connectionState === 'closed') continue;
      for (const report of (await connection.getStats()).values()) all.push(report);
    }
    return all;
  }

  async function statistics() {
    const all = await reports();
    const pick = (type, kind) => all.filter((report) => report.type === type && (!kind || report.kind === kind));
    // The server's receiver reports: what has arrived there.
    const reported = new Set(pick('remote-inbound-rtp', 'video').map(({ ssrc }) => ssrc));
    return {
      outbound: pick('outbound-rtp', 'video').map(({ rid, bytesSent, framesEncoded, scalabilityMode, ssrc }) => ({ rid, bytesSent, framesEncoded, scalabilityMode, ssrc, arrived: reported.has(ssrc) })),
      inboundVideo: pick('inbound-rtp', 'video').map((r) => ({ frames: r.framesDecoded ?? 0, key: r.keyFramesDecoded, lost: r.packetsLost, width: r.frameWidth, height: r.frameHeight, freezes: r.freezeCount, frozen: r.totalFreezesDuration, retransmitted: r.retransmittedPacketsReceived ?? 0, nacks: r.nackCount, plis: r.pliCount, ssrc: r.ssrc })),
      inboundAudio: pick('inbound-rtp', 'audio').map((r) => ({ energy: r.totalAudioEnergy ?? 0, packets: r.packetsReceived, lost: r.packetsLost, concealed: r.concealedSamples, samples: r.totalSamplesReceived, ssrc: r.ssrc })),
      transports: pick('transport').map(({ srtpCipher, dtlsCipher, tlsVersion, dtlsState, iceState, dtlsRole }) => ({ srtpCipher, dtlsCipher, tlsVersion, dtlsState, iceState, dtlsRole })),
    };
  }

  // What is decoded, by codec.
  async function codecs() {
    const all = await reports();
    const names = new Map(all.filter((report) => report.type === 'codec').map((report) => [report.id, report.mimeType]));
    return all
      .filter((report) => report.type === 'inbound-rtp' && report.kind === 'video')
      .map((report) => ({ mimeType: names.get(report.codecId) ?? '', frames: report.framesDecoded ?? 0 }));
  }

  // Mean luminance (0 to 255) and its spread over the picture of the one video from `identity`.
  function picture(identity) {
    const entry = [...elements.values()].find((each) => each.kind === 'video' && each.identity === identity);
    if (!entry || !entry.element.videoWidth) return null;
    const canvas = new OffscreenCanvas(64, 36);
    const context = canvas.getContext('2d');
    context.drawImage(entry.element, 0, 0, 64, 36);
    const { data } = context.getImageData(0, 0, 64, 36);
    const values = [];
    for (let i = 0; i < data.length; i += 4) values.push(0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2]);
    const mean = values.reduce((a, b) => a + b) / values.length;
    const spread = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    return { mean, spread, width: entry.element.videoWidth, height: entry.element.videoHeight };
  }

  const remotes = () => [...(room.remoteParticipants ?? room.participants).values()];

  const participants = () =>
    remotes().map((participant) => ({
      identity: participant.identity,
      metadata: participant.metadata,
      tracks: [...(participant.trackPublications ?? participant.tracks).values()].map((publication) => ({
        sid: publication.trackSid,
        kind: publication.kind,
        source: publication.source,
        muted: publication.isMuted,
        subscribed: publication.isSubscribed,
      })),
    }));

  const send = (text, options) =>
    client === 'current'
      ? room.localParticipant.publishData(new TextEncoder().encode(text), options)
      : room.localParticipant.publishData(new TextEncoder().encode(text), options.reliable ? 0 : 1, options);

  window.call = { join, statistics, codecs, picture, participants, send, events: () => events };
})();
