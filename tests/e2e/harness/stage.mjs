// A server and a browser for the tests of one file, or of one `describe`: there before the first, ended after the last.
import { after, before } from 'node:test';
import { startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

// `open` is called when both are there.
export function setStage(open) {
  const stage = {
    // A page that is in a room. `prepare` is run in it before; `token` takes the place of the usual one.
    async join(room, identity, { client, prepare, token, options } = {}) {
      const page = await stage.browser.page(client);
      await prepare?.(page);
      const ticket = token ?? (await stage.server.token(room, identity));
      const { url } = stage.server;
      await page.evaluate(([url, ticket, options]) => window.call.join(url, ticket, options), [url, ticket, options ?? {}]);
      return page;
    },
  };
  before(async () => {
    stage.server = await startServer();
    stage.browser = await startBrowser();
    await open?.(stage);
  });
  after(async () => {
    await stage.browser?.stop();
    stage.server?.tellIfFailed();
    await stage.server?.stop();
  });
  return stage;
}
