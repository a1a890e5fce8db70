import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { formatCount, formatInterval, formatLatency, formatMetric } from '../../daemon/core/quantities.js';
import { Daemon } from '../../daemon/process/daemon.js';
import {
  type MatrixCell,
  type Specialisation,
  specialisationSchema,
} from '../../daemon/study/specialisation/shapes.js';
import { openBench } from '../api/bench.js';
import { ownerFetch } from '../owner-fetch.js';
import { smallSpec } from '../study/bench.js';
import { CountingDriver } from '../study/specialisation/counting-driver.js';
import { desktop, openPage, phone, sidewaysOverflow } from './open-page.js';

const dashboardDir = fileURLToPath(new URL('../../dashboard', import.meta.url));

const counted = (value: number | null, more: Partial<MatrixCell> = {}) => ({
  value,
  ci: null,
  accuracy: 0.88,
  accuracyCi: [0.86, 0.9] as const,
  provenance: 'emulated',
  measurementId: 'measurement-1',
  reason: null,
  ...more,
});
const timed = (value: number, ci: [number, number]) => counted(value, { ci, provenance: 'measured' });

/** Every standing that has a colour, a winner from another's search, a limit that is broken, intervals that overlap, and one not measured yet. */
const matrix = specialisationSchema.parse({
  id: 'specialisation-1',
  name: 'three devices',
  state: 'paused',
  reason: 'the daemon stopped while it ran',
  createdMs: 1,
  slack: 0.01,
  finalists: 5,
  protocol: null,
  columns: [
    { deviceId: 'cpu', speed: 'latencyUs', search: 'study-1', finals: 'study-2' },
    { deviceId: 'pico', speed: 'cycles', search: 'study-1', finals: 'study-2' },
    { deviceId: 'm7', speed: 'instructions', search: 'study-1', finals: null },
  ],
  level: 0.885,
  distinctFinalists: 12,
  rows: [
    {
      deviceId: 'cpu',
      foundFor: 'cpu',
      study: 'study-1',
      trialNumber: 4,
      architectureId: 'a',
      accuracy: 0.9,
      accuracyCi: [0.8, 0.97],
      cells: {
        cpu: timed(1000, [990, 1010]),
        pico: counted(3_000_000),
        m7: counted(null, { reason: 'not measured yet', provenance: null }),
      },
      standing: 'fastest',
    },
    {
      deviceId: 'pico',
      foundFor: 'cpu',
      study: 'study-1',
      trialNumber: 7,
      architectureId: 'b',
      accuracy: 0.89,
      accuracyCi: null,
      cells: { cpu: timed(1005, [995, 1015]), pico: counted(2_500_000), m7: counted(6e6) },
      standing: 'not apart',
    },
    {
      deviceId: 'm7',
      foundFor: 'm7',
      study: 'study-1',
      trialNumber: 9,
      architectureId: 'c',
      accuracy: 0.91,
      accuracyCi: null,
      cells: {
        // The intervals overlap; that of the difference, 1.9 to 30.1 us, holds no 0.
        cpu: timed(1016, [1006, 1026]),
        pico: counted(2_000_000, { reason: 'flashBytes 9 > 5' }),
        m7: counted(8e6),
      },
      standing: 'provisional',
    },
  ],
});

const focused = (page: Page): Promise<string> =>
  page.evaluate('(document.activeElement?.textContent ?? "").trim()');
/** Presses Tab until an element with this text has the focus. */
async function tabTo(page: Page, text: string): Promise<boolean> {
  for (let i = 0; i < 30; i++) {
    await page.keyboard.press('Tab');
    if ((await focused(page)) === text) return true;
  }
  return false;
}
/** A count is no time: neither microseconds nor milliseconds may stand beside it. */
const time = /\d (us|ms)\b/;

t.test('a matrix by keyboard, on a desktop and on a phone', async (t) => {
  const bench = await openBench(t, { dashboardDir, specialisation: matrix });
  for (const name of ['search', 'finals']) {
    const { id } = await bench.studies.create({ name });
    await bench.studies.finishTrial(id);
  }
  const { page, faults } = await openPage(t, bench.url, desktop);
  await page.getByTestId('specialisation').waitFor();
  t.match(
    await page.getByTestId('specialisation').textContent(),
    /^three devices pausedcpu, pico, m7\w/,
    'in the list',
  );
  t.ok(await tabTo(page, 'three devices'));
  await page.keyboard.press('Enter');
  const table = page.getByTestId('matrix');
  await table.waitFor();
  t.equal(
    await page.evaluate('document.activeElement?.id'),
    'main',
    'the keyboard goes on from the new view',
  );

  const view = (await page.locator('main').textContent()) ?? '';
  t.match(
    view,
    /three devices paused.*the daemon stopped.*hilda search specialise --resume specialisation-1/,
  );
  t.match(
    view,
    /Equal accuracyfrom 88\.50 %.*Given up for speed1\.00 %.*Finalists12, at most 5 of each search/,
  );
  t.match(
    await page.getByTestId('part').first().textContent(),
    /^cpuSearch: study-1.*1 of 10.*Finals: study-2/,
  );
  t.match(await page.getByTestId('part').last().textContent(), /Finals: not started/);

  const heads = await table.getByRole('columnheader').allTextContents();
  t.match(heads, [
    /Winner for/,
    /^cpu.*latency/,
    /^pico.*cycles \(modelled\)/,
    /^m7.*instructions \(emulated\)/,
  ]);
  const rows = await Promise.all(
    (await table.locator('tbody').getByRole('row').all()).map((row) =>
      row.locator('th, td').allTextContents(),
    ),
  );
  t.match(rows, [
    [
      /^cpu.*accuracy 90 % \(80 to 97\).*study-1, trial 4/,
      /^1\.000 ms fastest95 %: 990 us to 1\.010 ms, accuracy 88\.0 % \(86\.0 to 90\.0\), measured$/,
      /^3\.00 M 20\.0 % moreaccuracy 88\.0 % \(86\.0 to 90\.0\), emulated$/,
      /^not measured yet$/,
    ],
    [
      /^pico.*study-1, trial 7, found for cpu$/,
      /^1\.005 ms not apart95 %: 995 us/,
      /^2\.50 M not apart from anotheraccuracy/,
      /^6\.00 M 25\.0 % feweraccuracy/,
    ],
    [
      /^m7/,
      /^1\.016 ms 1\.6 % slower/,
      /^2\.00 M Does not count: flashBytes 9 > 5/,
      /^8\.00 M so faraccuracy/,
    ],
  ]);
  for (const row of rows) for (const cell of row.slice(2)) t.notMatch(cell, time);
  t.equal(await table.locator('td.own').count(), 3, 'the winners on their own devices stand out');
  t.same(await table.getByTestId('standing').allTextContents(), [
    'fastest',
    'not apart from another',
    'so far',
  ]);
  await screenshot(page, 'desktop');

  t.ok(await tabTo(page, 'study-1, trial 7'), 'its links are within reach');
  await page.keyboard.press('Enter');
  await page.getByTestId('trials-done').waitFor();
  await page.goBack();
  await table.waitFor();

  await page.setViewportSize(phone);
  const onPico = page.getByRole('region', { name: 'Winners on pico' });
  await onPico.waitFor();
  t.equal(await page.locator('table').count(), 0, 'no table to scroll sideways');
  t.match(await onPico.getByRole('heading').textContent(), /pico cycles \(modelled\)/);
  const cards = await onPico.getByRole('listitem').allTextContents();
  t.match(cards, [
    /^Winner for cpu3\.00 M 20\.0 % more/,
    /^Winner for this device2\.50 M not apart from another.*found for cpu/,
    /^Winner for m72\.00 M Does not count/,
  ]);
  for (const card of cards) t.notMatch(card, time);
  const widths = await onPico.locator('.bar div').evaluateAll((bars) => bars.map((bar) => bar.style.width));
  t.match(widths, ['100%', /^83\.3/, /^66\.6/], 'bars to scale');
  t.equal(await sidewaysOverflow(page), 0);
  t.ok(await tabTo(page, 'study-1, trial 9'));
  await screenshot(page, 'phone');
  await page.emulateMedia({ colorScheme: 'dark' });
  await screenshot(page, 'phone-dark');
  await page.goto(bench.url);
  await page.getByTestId('specialisation').waitFor();
  t.equal(await sidewaysOverflow(page), 0);
  await screenshot(page, 'phone-list');
  t.same(faults, []);
});

t.test('a specialisation seen live, from its start to what was measured', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-page-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const driver = new CountingDriver({ ids: ['fake-0', 'board'], board: 'board' });
  let goOn = (): void => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  driver.before = (id, count) => (id === 'board' && count === 6 ? held : undefined);
  const daemon = new Daemon({ dataDir, port: 0, clock: systemClock, drivers: [driver] });
  const url = await daemon.start(new AbortController().signal);
  t.teardown(() => daemon.stop());
  const post = (path: string, body: object) =>
    ownerFetch(`${url}/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  for (const id of ['fake-0', 'board']) await post(`/devices/${id}/adopt`, {});

  const { page, faults } = await openPage(t, daemon.pageLink(), desktop);
  await page
    .getByTestId('connection')
    .filter({ hasText: /^live$/ })
    .waitFor();
  await page.getByText('None yet. One search a device').waitFor();
  const objectives = [
    { metric: 'accuracy', goal: 'max' },
    { metric: 'latencyUs', goal: 'min' },
    { metric: 'cycles@board', goal: 'min' },
  ];
  const spec = await smallSpec(dataDir, { name: 'seen live', objectives, budget: { trials: 20 }, batch: 5 });
  t.equal((await post('/specialisations', { spec, devices: ['fake-0', 'board'], slack: 0 })).status, 202);
  await page.getByTestId('specialisation').filter({ hasText: 'running' }).waitFor();
  await page.getByRole('link', { name: 'seen live', exact: true }).click();
  const [host, board] = [page.getByTestId('part').first(), page.getByTestId('part').last()];
  await host.filter({ hasText: /Search: study-1 completed 20 of 20/ }).waitFor();
  await board.filter({ hasText: /Search: study-2 running 5 of 20.*Finals: not started/ }).waitFor();
  t.match(await page.locator('main').textContent(), /All searches come first/);
  await page.evaluate('window.stillTheSamePage = true');
  goOn();

  await page.getByTestId('specialisation-state').filter({ hasText: 'completed' }).waitFor();
  await host.filter({ hasText: /Finals: study-\d completed/ }).waitFor();
  const answer = await (await ownerFetch(`${url}/v1/specialisations/specialisation-1`)).json();
  const { level, rows } = specialisationSchema.parse(answer);
  t.ok(rows.length === 2 && level !== null);
  for (const [i, row] of rows.entries()) {
    const shown = page.getByTestId('matrix').locator('tbody tr').nth(i).locator('td');
    for (const [j, id] of (['fake-0', 'board'] as const).entries()) {
      const cell = row.cells[id as keyof typeof row.cells] as MatrixCell;
      const { value, ci, accuracy, provenance } = cell;
      const text = (await shown.nth(j).textContent()) ?? '';
      t.equal(provenance, 'emulated', 'a fake is a device on paper');
      t.ok(text.startsWith((id === 'board' ? formatCount : formatLatency)(value as number)), text);
      t.ok(text.endsWith(`accuracy ${formatMetric('accuracy', accuracy as number)}, ${provenance}`), text);
      if (id === 'board') t.notMatch(text, time);
      else t.ok(text.includes(formatInterval(ci as [number, number])), text);
      const isSame = row.deviceId !== id && row.architectureId === rows[j]?.architectureId;
      t.equal(text.includes('the same network'), isSame, text);
      if (row.deviceId === id)
        t.equal(await shown.nth(j).getByTestId('standing').getAttribute('class'), `chip ${classOf(row)}`);
    }
  }
  t.ok(await page.evaluate('window.stillTheSamePage'), 'nobody loaded it again');
  t.same(faults, []);
});

const classOf = ({ standing }: Specialisation['rows'][number]): string => standing.replaceAll(' ', '-');

async function screenshot(page: Page, name: string): Promise<void> {
  if (process.env.HILDA_SCREENSHOT)
    await page.screenshot({ path: `${process.env.HILDA_SCREENSHOT}-${name}.png`, fullPage: true });
}
