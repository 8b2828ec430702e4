// The page at `/` of development mode, as a person uses it: two people in a room, seen in a real browser.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { sleep, until } from '../harness/server.mjs';
import { setStage } from '../harness/stage.mjs';

const stage = setStage();

async function enter(name, source) {
  const page = await stage.browser.context.newPage();
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`${stage.server.http}/`);
  await page.getByTestId('name-input').fill(name);
  await page.getByTestId('room-input').fill('living room');
  await page.getByTestId(`source-${source}`).check({ force: true });
  await page.getByTestId('join-button').click();
  await page.getByTestId('leave-button').waitFor({ timeout: 30_000 });
  return page;
}

// Whether the video in the tile of `identity` plays and is not black.
const plays = (page, identity) =>
  page.evaluate((identity) => {
    const video = document.querySelector(`[data-testid="tile"][data-identity="${identity}"] video`);
    if (!video?.videoWidth || video.paused) return false;
    const context = new OffscreenCanvas(32, 18).getContext('2d');
    context.drawImage(video, 0, 0, 32, 18);
    const { data } = context.getImageData(0, 0, 32, 18);
    return data.some((value, index) => index % 4 !== 3 && value > 40);
  }, identity);

const identities = (page) =>
  page.evaluate(() => [...document.querySelectorAll('[data-testid="tile"]')].map((tile) => tile.dataset.identity));

test('a health check gets OK, a browser gets the page', async () => {
  const answer = await fetch(stage.server.http);
  assert.equal(answer.status, 200);
  assert.equal(await answer.text(), 'OK');
  const page = await fetch(stage.server.http, { headers: { accept: 'text/html' } });
  assert.match(await page.text(), /<!doctype html>/i);
});

test('two people see each other, mute and leave', async () => {
  const ada = await enter('Ada', 'devices');
  const grace = await enter('Grace', 'pattern');
  const [adaIdentity] = await ada.evaluate(() => [window.room.localParticipant.identity]);
  const [graceIdentity] = await grace.evaluate(() => [window.room.localParticipant.identity]);
  await until('Grace sees Ada', 30_000, () => plays(grace, adaIdentity));
  await until('Ada sees Grace', 30_000, () => plays(ada, graceIdentity));

  const pictures = process.env.MILLRACE_SCREENSHOT;
  if (pictures) {
    await mkdir(path.dirname(pictures), { recursive: true });
    await sleep(2_000);
    await ada.screenshot({ path: pictures });
  }

  await grace.getByTestId('mic-button').click();
  const graceTile = ada.locator(`[data-testid="tile"][data-identity="${graceIdentity}"]`);
  await graceTile.getByTestId('mic-muted').waitFor({ state: 'visible', timeout: 10_000 });
  await grace.getByTestId('mic-button').click();
  await graceTile.getByTestId('mic-muted').waitFor({ state: 'hidden', timeout: 10_000 });

  await grace.getByTestId('camera-button').click();
  await until('the camera is off', 10_000, async () => !(await plays(ada, graceIdentity)));
  await grace.getByTestId('camera-button').click();
  await until('the camera is on again', 10_000, () => plays(ada, graceIdentity));

  await grace.getByTestId('leave-button').click();
  await until('Ada is alone', 10_000, async () => (await identities(ada)).length === 1);
  await ada.getByTestId('leave-button').click();
  await ada.getByTestId('join-button').waitFor({ timeout: 10_000 });
});
