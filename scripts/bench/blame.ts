/**
 * `npm run bench -- blame [--only TEXT] [--party TEXT] [--list]`: real failure texts and exit states of all runtimes, each in
 * studies in which one party is bad: a device beside good networks, or networks on a good device. Every text comes from every
 * kind of party, also where its words accuse the other one. `cases`: studies; `texts`: failures; `wrong`: studies that
 * ended with an innocent party blamed, a guilty one not, or without the reason (bar: 0). `--list` prints every study.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { failureTexts } from '../../test/blame/failure-texts.js';
import { departing, type Party, parties } from '../../test/blame/parties.js';
import { blameSpec, runCase } from '../../test/blame/run-case.js';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    party: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
    side: { type: 'string', default: '4' },
  },
});
const startMs = performance.now();
const dir = await mkdtemp(join(tmpdir(), 'hilda-blame-'));
const spec = await blameSpec(dir);
const texts = failureTexts.filter(({ name }) => name.includes(flags.only));
const cases = [
  ...texts.flatMap((text) =>
    parties.filter(({ memory }) => !memory || text.memory).map((party) => ({ text, party })),
  ),
  ...texts.slice(0, 1).map((text) => ({ text, party: departing })),
].filter(({ party }) => party.name.includes(flags.party));
const wrong: { readonly party: Party; readonly text: string }[] = [];
const queue = [...cases];
await Promise.all(
  Array.from({ length: Number(flags.side) }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { text, party } = next;
      const faults = await runCase(text, party, spec);
      if (faults.length > 0) wrong.push({ party, text: text.name });
      for (const fault of faults.slice(0, 3)) console.error(`WRONG ${text.name} / ${party.name}: ${fault}`);
      if (flags.list)
        console.error(`${text.name} / ${party.name}: ${faults.length === 0 ? 'right' : 'wrong'}`);
    }
  }),
);
await rm(dir, { recursive: true, force: true });
const by = (guilty: Party['guilty']): number => cases.filter(({ party }) => party.guilty === guilty).length;
console.log(
  JSON.stringify({
    bench: 'blame',
    figures: {
      cases: cases.length,
      texts: texts.length,
      badDevice: by('device'),
      badNetwork: by('network'),
      nobody: by('nobody'),
      wrong: wrong.length,
      seconds: Math.round((performance.now() - startMs) / 1000),
    },
  }),
);
process.exit(wrong.length > 0 ? 1 : 0);
