/**
 * Runs or resumes a specialisation, and kills itself right after a write of the store was committed: METHOD:COUNT says
 * which one. Without it, it ends with the specialisation.
 */
import type { SpecialisationId } from '../../../daemon/core/ids.js';
import type { Store } from '../../../daemon/store/contract.js';
import { Specialisations } from '../../../daemon/study/specialisation/specialisations.js';
import { openBench, profilesDir } from '../bench.js';

const [dataDir, request, killAt = ''] = process.argv.slice(2) as [string, string, string?];
const [method, count] = killAt.split(':');
let left = Number(count);

const ids = (JSON.parse(request) as { readonly devices: readonly string[] }).devices;
const bench = await openBench(dataDir, { ids }, undefined, killing);
const { store, studies } = bench;
const specialisations = new Specialisations({ store, studies, profilesDir });
await specialisations.start();
const [known] = await store.specialisations();
const id: SpecialisationId = known
  ? (await specialisations.resume(known.id)).id
  : (await specialisations.create(JSON.parse(request))).id;
await specialisations.settled(id);
await bench.close();

function killing(store: Store): Store {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name !== method || typeof value !== 'function') return value;
      return async (...given: unknown[]): Promise<unknown> => {
        const written: unknown = await value.apply(target, given);
        if (--left === 0) process.kill(process.pid, 'SIGKILL');
        return written;
      };
    },
  });
}
