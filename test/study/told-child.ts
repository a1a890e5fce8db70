/**
 * Runs or resumes a study whose results come from outside, tells each trial, and prints what was acknowledged. Killed by the
 * test at any moment; a result that was told before is told again.
 */
import { openBench } from './bench.js';

process.stdout.on('error', () => process.exit(1));
const [dataDir, spec] = process.argv.slice(2) as [string, string];
const bench = await openBench(dataDir);
const { signal } = new AbortController();
const [existing] = await bench.studies.list();
const { id } = existing
  ? existing.state === 'completed'
    ? existing
    : await bench.studies.resume(existing.id)
  : await bench.studies.create(JSON.parse(spec));
const accuracyOf = (number: number): number => 0.5 + number / 100;
const known = (await bench.store.trials(id)).filter(({ result }) => result !== null);
const tell = (all: readonly { readonly number: number }[], waitMs: number) =>
  bench.studies.tell(
    id,
    {
      results: all.map(({ number }) => ({ number, result: { values: { accuracy: accuracyOf(number) } } })),
      ...{ steps: [], numbers: [], waitMs },
    },
    { signal },
  );
if (known.length > 0) await tell(known, 0);
for (let state = 'running'; state === 'running'; ) {
  const asked = await bench.studies.ask(id, { n: 2, waitMs: 2000 }, { signal });
  if (asked.trials.length > 0) await tell(asked.trials, 0);
  for (const { number } of asked.trials)
    process.stdout.write(`${JSON.stringify({ number, accuracy: accuracyOf(number) })}\n`);
  ({ state } = (await bench.studies.show(id)).record);
}
await bench.studies.settled(id);
await bench.close();
