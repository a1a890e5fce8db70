/**
 * `node dist/scripts/screenshots.js URL [OUT]`: pictures of a running daemon's page for the documents, 1280 by 830 points,
 * light. `study.png` shows the study that was started last. OUT is docs/images unless said. Needs Chromium
 * (`npm run setup -- --tests`).
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { DaemonClient } from '../daemon/api/client.js';

const [url = '', out = 'docs/images'] = process.argv.slice(2);
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((file) => existsSync(file));
if (!executablePath || url === '')
  throw new Error('usage: screenshots URL [OUT]; Chromium must be installed');
mkdirSync(out, { recursive: true });
const client = new DaemonClient(url);
const calls = { signal: AbortSignal.timeout(60_000) };
const study = (await client.studies(calls)).at(-1);
if (!study) throw new Error('the daemon has no study yet');
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const page = await browser.newPage({ viewport: { width: 1280, height: 830 }, colorScheme: 'light' });
await page.goto((await client.pageLink(calls)).url);
await page.goto(`${url}/#/studies/${study.id}`);
await page.getByTestId('trials-done').waitFor({ timeout: 60_000 });
// The charts are drawn by then.
await page.waitForTimeout(1000);
await page.screenshot({ path: join(out, 'study.png') });
await browser.close();
