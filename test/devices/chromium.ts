import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import type { Test } from 'tap';

export const chromiumPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);

export const chromiumMissing =
  'Chromium is missing. Install it (Debian: apt-get install chromium) or run: npm run setup -- --tests';

/** Chromium's own services would try the network and wait for it. */
export const quietFlags = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** Looks like a phone; its speed is this machine's all the same. */
export const phone = {
  viewport: { width: 412, height: 915 },
  deviceScaleFactor: 2.625,
  isMobile: true,
  hasTouch: true,
} as const;

/** A browser with a profile of its own, closed with the test. Throws where Chromium is missing: nothing is skipped. */
export async function openChromium(
  t: Test,
  options: { readonly flags?: readonly string[] } = {},
): Promise<BrowserContext> {
  const { context, close } = await launchChromium(options);
  t.teardown(close);
  return context;
}

/** As `openChromium`, for callers that close it themselves. */
export async function launchChromium({
  flags = ['--disable-gpu'],
}: {
  readonly flags?: readonly string[];
} = {}): Promise<{ readonly context: BrowserContext; close(): Promise<void> }> {
  if (!chromiumPath) throw new Error(chromiumMissing);
  const profile = await mkdtemp(join(tmpdir(), 'hilda-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    headless: true,
    args: [...quietFlags, ...flags],
    ignoreHTTPSErrors: true,
    handleSIGTERM: false,
    ...phone,
  });
  context.setDefaultTimeout(30_000);
  const close = async (): Promise<void> => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 3 });
  };
  return { context, close };
}
