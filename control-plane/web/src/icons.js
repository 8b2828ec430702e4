// Line drawings, struck through when off.

const frame = (paths) =>
  `<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${paths}</svg>`;

const strike = (on) => (on ? '' : '<path d="M3 3l18 18"/>');

export const microphoneIcon = (on) =>
  frame(`<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5 11a7 7 0 0 0 14 0M12 18v3"/>${strike(on)}`);

export const cameraIcon = (on) =>
  frame(`<rect x="3" y="6" width="12" height="12" rx="2.5"/><path d="M15 11l6-3.5v9L15 13"/>${strike(on)}`);
