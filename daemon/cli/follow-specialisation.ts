import type { DaemonClient } from '../api/client.js';
import type { Specialisation } from '../study/specialisation/shapes.js';
import type { CliContext } from './context.js';
import { progressLine } from './follow-study.js';
import { Progress } from './terminal/progress.js';

const pollMs = 1000;
/** Looks at a silent daemon before it counts as gone: a restart takes seconds. */
const patience = 30;

/** Shows how far its studies are until it no longer runs. */
export async function followSpecialisation(
  id: string,
  { client, terminal, signal }: CliContext,
): Promise<Specialisation> {
  const progress = new Progress(terminal);
  try {
    for (let missed = 0; ; ) {
      try {
        const found = await client.specialisation(id, { signal });
        missed = 0;
        const parts = await Promise.all(found.columns.map((column) => describePart(column, client, signal)));
        progress.show(parts.filter((part) => part !== null).join('; '));
        if (found.state !== 'running') return found;
      } catch (thrown) {
        if (signal.aborted || ++missed > patience) throw thrown;
      }
      await terminal.clock.sleep(pollMs, { signal });
    }
  } finally {
    progress.end();
  }
}

/** How far a device is with its search, then with the finals. */
async function describePart(
  { deviceId, search, finals }: Specialisation['columns'][number],
  client: DaemonClient,
  signal: AbortSignal,
): Promise<string | null> {
  const study = finals ?? search;
  if (study === null) return null;
  const line = progressLine(await client.study(study, { signal }));
  return `${finals ? 'finals' : 'search'} on ${deviceId} (${study}): ${line}`;
}
