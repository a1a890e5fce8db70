import type { BenchmarkRunView } from '../../../api/benchmark-schemas.js';
import type { CliContext } from '../../context.js';
import { Progress } from '../../terminal/progress.js';

const pollMs = 500;

/** Waits for a run, and shows how far it is. A client that goes away leaves the run to the daemon. */
export async function followRun(
  run: BenchmarkRunView,
  { client, terminal, signal }: CliContext,
): Promise<BenchmarkRunView> {
  let view = run;
  const progress = new Progress(terminal);
  try {
    for (;;) {
      progress.show(`run ${view.id} of ${view.suite}: ${view.done} of ${view.of} measurements`);
      if (view.state !== 'running') return view;
      await terminal.clock.sleep(pollMs, { signal });
      view = await client.benchmark(view.id, { signal });
    }
  } finally {
    progress.end();
  }
}
