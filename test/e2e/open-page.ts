import { chromium, type Page } from 'playwright-core';
import type { Test } from 'tap';
import { chromiumMissing, chromiumPath, quietFlags } from '../devices/chromium.js';

export const phone = { width: 390, height: 844 };
export const desktop = { width: 1280, height: 800 };

/**
 * A page of the daemon, and what it did that it must not: script errors, requests elsewhere, what the policy refused. Throws
 * where Chromium is missing: nothing is skipped.
 */
export async function openPage(
  t: Test,
  url: string,
  viewport = phone,
): Promise<{ page: Page; faults: string[] }> {
  if (!chromiumPath) throw new Error(chromiumMissing);
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    headless: true,
    args: [...quietFlags, '--disable-gpu'],
  });
  t.teardown(() => browser.close());
  const page = await browser.newPage({ viewport });
  page.setDefaultTimeout(20_000);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) faults.push(message.text());
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) faults.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return { page, faults };
}

/** How many pixels the page is wider than its window. */
export const sidewaysOverflow = (page: Page): Promise<number> =>
  page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
