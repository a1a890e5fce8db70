import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { countCost } from '../../daemon/network/cost.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { runSpaceContract } from '../contract/space-contract.js';

const folder = fileURLToPath(new URL('../../../profiles/spaces/', import.meta.url));
const file = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8'));
const shipped = readdirSync(folder).map((name) => name.replace(/\.json$/, ''));

for (const name of shipped) {
  const large = /imagenet|tiny/.test(name);
  t.test(name, async (t) => {
    const space = loadSpace(file(name));
    t.equal(space.id, name);
    runSpaceContract(t, space, large ? 4 : 60);
  });
}

t.test('the published spaces have their published size and cost', async (t) => {
  // ProxylessNAS: 6 blocks with 6 candidates, 15 with 7.
  t.equal(loadSpace(file('proxylessnas-imagenet')).size, 6 ** 6 * 7 ** 15);
  const mcuformer = loadSpace(file('mcuformer-tiny'));
  t.equal(mcuformer.size, 5 * 3 * 12 * (4 ** 12 + 4 ** 13 + 4 ** 14));
  // E192, 3 heads, ratio 4, depth 12, patch 16, rank 0.9: 5.1 M parameters at two factors and rank 0.6 (algorithms 2.1).
  const at = (rank: number): number =>
    mcuformer.stats([0, 1, rank, 0, ...Array(12).fill([0, 1]).flat(), 0, 0, 0, 0]).parameters;
  t.ok(Math.abs(at(0) / 3.5e6 - 1) < 0.12, `rank 0.4: ${at(0)}`);
  t.ok(Math.abs(at(10) / 7.48e6 - 1) < 0.12, `rank 0.9: ${at(10)}`);
});

t.test('features are fast: a search asks for thousands', async (t) => {
  const space = loadSpace(file('mbconv-fmnist'));
  const [smallest, largest] = space.seeds?.() ?? [];
  t.ok(space.stats(largest!).macs >= 4 * space.stats(smallest!).macs, 'a factor of four in MACs at least');
  t.same(space.features(smallest!).get('macs'), countCost(space.network(smallest!)).macs);
});

t.test('a wrong file names each wrong field', async (t) => {
  const good = file('mbconv-fmnist');
  const wrong = { ...good, kernels: [4], surprise: 1, stages: [{ width: 0, layers: 1, stride: 3 }] };
  try {
    loadSpace(wrong);
    t.fail('accepted');
  } catch (error) {
    const { code, details } = error as { code: string; details: { fields: string[] } };
    t.equal(code, 'SPACE_INVALID');
    for (const path of ['kernels.0', 'stages.0.width', 'stages.0.stride', 'surprise'])
      t.ok(
        details.fields.some((f) => f.includes(path)),
        path,
      );
  }
  t.throws(() => loadSpace({ ...good, kernels: [3, 5, 3] }), { code: 'SPACE_INVALID' }, 'one choice twice');
  t.throws(() => loadSpace({ ...file('vit-fmnist'), heads: [2, 2] }), { code: 'SPACE_INVALID' });
  for (const bad of [null, {}, { kind: 'cube' }, [], 'mbconv'])
    t.throws(() => loadSpace(bad), { code: 'SPACE_INVALID' });
});
