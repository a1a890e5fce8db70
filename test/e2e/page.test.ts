import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { StudyId } from '../../daemon/core/ids.js';
import { freePort } from '../android/adb-bench.js';
import { type Bench, openBench, storePredictor } from '../api/bench.js';
import { openPage, sidewaysOverflow } from './open-page.js';

const dashboardDir = fileURLToPath(new URL('../../dashboard', import.meta.url));
const createStudy = async ({ studies }: Bench): Promise<StudyId> => {
  const objectives = [
    { metric: 'accuracy', goal: 'max' },
    { metric: 'latencyUs', goal: 'min' },
  ];
  return (await studies.create({ name: 'seen live', objectives })).id;
};

t.test('the page shows devices, and trials as they end, across a restart of the daemon', async (t) => {
  // It comes back at the same port, which nobody must have taken meanwhile.
  const bench = await openBench(t, { dashboardDir, port: await freePort() });
  const id = await createStudy(bench);
  const { page, faults } = await openPage(t, bench.url);
  const trialRows = page.getByTestId('trials').locator('tbody tr');
  /** The count and the rows come by requests of their own: either may be ahead for a moment. */
  const trialsDone = async (n: number) => {
    await page
      .getByTestId('trials-done')
      .filter({ hasText: `${n} of 10` })
      .waitFor();
    if (n > 0) await trialRows.nth(n - 1).waitFor();
  };

  await page
    .getByTestId('connection')
    .filter({ hasText: /^live$/ })
    .waitFor();
  t.match(await page.getByTestId('device').textContent(), /fake-0[\s\S]*adopted/);
  await bench.store.setDeviceState('fake-0' as never, 'ignored');
  await page.getByTestId('device').filter({ hasText: 'ignored' }).waitFor();

  await page.getByTestId('pair').click();
  await page.getByAltText('The address below as a QR code').waitFor();
  t.match(await page.locator('.pair').textContent(), /\/join\/#t=.*the test/);

  await page.getByRole('link', { name: 'seen live' }).click();
  await trialsDone(0);
  await bench.studies.finishTrial(id);
  await bench.studies.finishTrial(id);
  await trialsDone(2);
  t.equal(await trialRows.count(), 2);
  await page.getByTestId('front').locator('tbody tr').nth(1).waitFor();
  t.match(
    await page.getByTestId('front').locator('tbody tr').first().textContent(),
    /–50\.0 % \(47\.0 to 53\.0\)[\s\S]*100 us[\s\S]*measured/,
  );
  t.match(
    await page.getByTestId('front').locator('tbody tr').nth(1).textContent(),
    /accuracy: trial 0.*51\.0 % \(48\.0 to 54\.0\)/,
    'in words that it is not apart from its neighbour',
  );
  t.match(await page.getByTestId('front-notes').textContent(), /accuracy: noise, 1000 images.*holds 0/);
  t.match(await trialRows.last().textContent(), /50\.0 % \(47\.0 to 53\.0\)/);
  await page.locator('.chart canvas').waitFor();
  t.equal(await page.getByTestId('trials-shown').textContent(), '2 of 2');
  const sortByNumber = page.getByRole('button', { name: 'No.' });
  await sortByNumber.click();
  await trialRows
    .first()
    .filter({ hasText: /^0complete/ })
    .waitFor();
  await sortByNumber.click();
  await trialRows
    .first()
    .filter({ hasText: /^1complete/ })
    .waitFor();
  t.match(await page.locator('.chart').getAttribute('aria-label'), /table below/);

  // The page is away while a trial ends, then hears of it without being loaded again.
  await page.evaluate('window.stillTheSamePage = true');
  await bench.server.stop();
  await page.getByTestId('connection').filter({ hasText: 'lost' }).waitFor();
  await bench.studies.finishTrial(id);
  await bench.stop();
  const again = await openBench(t, { dir: bench.dir, port: Number(new URL(bench.url).port), dashboardDir });
  await trialsDone(3);
  await page
    .getByTestId('connection')
    .filter({ hasText: /^live$/ })
    .waitFor();
  await again.studies.finishTrial(id);
  await trialsDone(4);
  await again.store.setStudyState(id, 'completed');
  await page.getByTestId('study-state').filter({ hasText: 'completed' }).waitFor();
  t.equal(await trialRows.count(), 4);
  t.ok(await page.evaluate('window.stillTheSamePage'));

  // A study of two devices has two fronts; what an emulated board counts never reads as a time.
  const { id: both } = await again.studies.create({
    name: 'on two devices',
    objectives: [
      { metric: 'accuracy', goal: 'max' },
      { metric: 'latencyUs', goal: 'min' },
      { metric: 'cycles@pico', goal: 'min' },
    ],
  });
  await again.studies.finishTrial(both, { 'cycles@pico': 2_933_688, 'accuracy@pico': 0.49 });
  await page.goto(`${again.url}/#/studies/${both}`);
  const board = page.getByRole('region', { name: 'pico' });
  await board.getByTestId('front').locator('tbody tr').first().waitFor();
  const shown = (await board.getByTestId('front').textContent()) ?? '';
  t.match(shown, /emulated board: no time of a real one/);
  t.match(shown, /float accuracy[\s\S]*int8 accuracy[\s\S]*cycles \(modelled\)/);
  t.match(shown, /50\.0 % \(47\.0 to 53\.0\)[\s\S]*49\.00 %[\s\S]*2\.93 M[\s\S]*emulated/);
  t.notMatch(shown, /Latency|\d (us|ms)\b/);
  t.match(await board.locator('.chart').getAttribute('aria-label'), /int8 accuracy over cycles \(modelled\)/);
  const host = (await page.getByRole('region', { name: 'fake-0' }).getByTestId('front').textContent()) ?? '';
  t.match(host, /100 us[\s\S]*measured/);
  t.notMatch(host, /cycles|2\.93 M/);

  // A trial that a device was away from says so, until the device has caught up with it.
  const reason = 'not measured on pico: not there';
  await again.studies.finishTrial(both, {}, reason);
  await page.getByTestId('trials').getByText(reason).waitFor();
  // The counts come by a request of their own, after the row.
  const measured = page.getByTestId('measured-pico');
  await measured.filter({ hasText: /^1, 1 missing$/ }).waitFor();
  const [, { values }] = (await again.store.trials(both)) as [unknown, { values: Record<string, number> }];
  await again.store.reviseTrial({
    studyId: both,
    number: 1,
    state: 'complete',
    values: { ...values, 'cycles@pico': 3e6 },
    reason: null,
  });
  await page.getByTestId('trials').getByText(reason).waitFor({ state: 'detached' });
  await measured.filter({ hasText: /^2$/ }).waitFor();

  // How far to trust a predictor: its list hears of it, its page draws four figures.
  await page.goto(`${again.url}/#/`);
  await page.getByTestId('predictor').waitFor({ state: 'detached' });
  const { id: predictorId } = await storePredictor(again.store);
  t.match(await page.getByTestId('predictor').textContent(), /predictor-1fake-0mbconv-fmnist12measured/);
  await page.getByRole('link', { name: predictorId }).click();
  const figures = page.locator('figure');
  await figures.nth(3).locator('canvas').waitFor({ timeout: 120_000 });
  t.same(await figures.locator('figcaption').allTextContents(), [
    'Predicted (held out) against measured',
    'Measured over predicted, by size',
    'Reliability of the intervals',
    'Error on networks held back, by how many were learnt from',
  ]);
  t.match(await figures.first().locator('.chart').getAttribute('aria-label'), /12 points/);
  t.match(await page.getByTestId('residual').first().textContent(), /^Conv \w+\d+-?\d+\.\d %$/);
  t.match(
    await page.locator('main').textContent(),
    /12 samples: the interval is wide[\s\S]*Within 10 %83\.3 %/,
  );

  t.equal(await sidewaysOverflow(page), 0, 'a phone shows it without scrolling sideways');
  t.same(faults, [], 'no script error, no request elsewhere, nothing that the policy refused');
  if (process.env.HILDA_SCREENSHOT)
    await page.screenshot({ path: process.env.HILDA_SCREENSHOT, fullPage: true });
});
