// A picture and a tone to send where there is no camera: moving bars with the sender's name and a clock, and a
// soft beep every second, its pitch given by the name.

export async function startPattern(name) {
  const { canvas, stop: stopDrawing } = draw(name);
  const [video] = canvas.captureStream(FRAMES_PER_SECOND).getVideoTracks();
  const tone = await beep(name);
  return {
    video,
    audio: tone.track,
    stop() {
      stopDrawing();
      tone.stop();
      video.stop();
    },
  };
}

function draw(name) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
  const context = canvas.getContext('2d');
  const hue = hash(name) % 360;
  const paint = () => {
    const now = new Date();
    const { width, height } = canvas;
    BARS.forEach((colour, index) => {
      context.fillStyle = colour;
      context.fillRect((index * width) / BARS.length, 0, width / BARS.length + 1, height);
    });
    const turn = (now.getTime() / 1000) % 4;
    context.fillStyle = `hsl(${hue} 80% 55%)`;
    context.beginPath();
    context.arc(width * (0.1 + 0.2 * turn), height * (0.3 + 0.12 * Math.sin(turn * Math.PI)), 90, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = '#0d1117cc';
    context.fillRect(0, height * 0.62, width, height * 0.3);
    context.fillStyle = '#fff';
    context.textAlign = 'center';
    context.font = '600 88px system-ui, sans-serif';
    context.fillText(name, width / 2, height * 0.75, width * 0.9);
    context.font = '44px ui-monospace, monospace';
    context.fillText(now.toISOString().slice(11, 23), width / 2, height * 0.86);
  };
  paint();
  const timer = setInterval(paint, 1000 / FRAMES_PER_SECOND);
  return { canvas, stop: () => clearInterval(timer) };
}

async function beep(name) {
  const context = new AudioContext();
  await Promise.race([context.resume(), new Promise((done) => setTimeout(done, 500))]);
  const oscillator = new OscillatorNode(context, { frequency: 220 + (hash(name) % 12) * 30 });
  const gain = new GainNode(context, { gain: 0 });
  const output = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  oscillator.connect(gain).connect(output);
  oscillator.start();
  const sound = () => {
    const start = context.currentTime + 0.05;
    gain.gain.setTargetAtTime(0.25, start, 0.02);
    gain.gain.setTargetAtTime(0, start + 0.6, 0.05);
  };
  sound();
  const timer = setInterval(sound, 1000);
  const [track] = output.stream.getAudioTracks();
  return {
    track,
    stop() {
      clearInterval(timer);
      track.stop();
      context.close();
    },
  };
}

function hash(text) {
  return [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7);
}

const FRAMES_PER_SECOND = 30;
const BARS = ['#c0c0c0', '#c0c000', '#00c0c0', '#00c000', '#c000c0', '#c00000', '#0000c0'];
