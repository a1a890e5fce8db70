import type { Specialisation } from '../study/specialisation/shapes.js';
import type { CliContext } from './context.js';
import { progressLine } from './follow-study.js';

const pollMs = 1000;
/** Looks at a silent daemon before it counts as gone: a restart takes seconds. */
const patience = 30;

/** Shows the progress of its studies on stderr, line by line, until it no longer runs. */
export async function followSpecialisation(
  id: string,
  { client, terminal, signal }: CliContext,
): Promise<Specialisation> {
  const shown = new Map<string, string>();
  for (let missed = 0; ; ) {
    try {
      const found = await client.specialisation(id, { signal });
      missed = 0;
      for (const { deviceId, search, finals } of found.columns) {
        for (const study of [search, finals]) {
          if (study === null) continue;
          const summary = await client.study(study, { signal });
          const part = study === search ? 'search' : 'finals';
          const line = `${part} on ${deviceId} (${study}): ${progressLine(summary)}`;
          // A study that had ended before is told once.
          if (shown.get(study) !== line) terminal.note(line);
          shown.set(study, line);
        }
      }
      if (found.state !== 'running') return found;
    } catch (thrown) {
      if (signal.aborted || ++missed > patience) throw thrown;
    }
    await terminal.clock.sleep(pollMs, { signal });
  }
}
