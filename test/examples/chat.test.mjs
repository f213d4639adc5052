// examples/chat in headless Chromium: two tabs talk, survive a kill -9 of the server, and find the history again.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { Holdfast } from '../support/holdfast.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('two tabs chat through a restart', { timeout: 120_000 }, async () => {
  // A fixed port, so that the page finds the server again after it was killed.
  await using server = await Holdfast.start();
  const port = server.port;
  await promisify(execFile)(process.execPath, [`${root}/node_modules/wrangler/bin/wrangler.js`, 'deploy'], {
    cwd: `${root}/examples/chat`,
    env: { ...process.env, ...server.clientEnv },
  });
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', `--host-resolver-rules=MAP *.test 127.0.0.1`],
  });
  try {
    const open = async (name) => {
      const page = await browser.newPage();
      await page.goto(`http://chat.test:${port}/?room=lobby&name=${name}`);
      await page.locator('#status.open').waitFor();
      return page;
    };
    const say = async (page, text) => {
      await page.locator('#text').fill(text);
      await page.locator('#say button').click();
    };
    const sees = (page, text) => page.locator('#log li', { hasText: text }).waitFor({ timeout: 20_000 });
    const alice = await open('alice');
    const bob = await open('bob');
    await say(alice, 'hello bob');
    await sees(bob, 'hello bob');
    await say(bob, 'hello alice');
    await sees(alice, 'hello alice');

    await server.kill();
    await alice.locator('#status:not(.open)').waitFor();
    server.args = ['--listen', `127.0.0.1:${port}`];
    await server.startAgain();
    await alice.locator('#status.open').waitFor({ timeout: 20_000 });
    await bob.locator('#status.open').waitFor({ timeout: 20_000 });
    await say(alice, 'still here');
    await sees(bob, 'still here');

    const carol = await open('carol');
    for (const text of ['hello bob', 'hello alice', 'still here']) await sees(carol, text);
    assert.equal(await carol.locator('#log li').count(), 3);
  } finally {
    await browser.close();
  }
});
