import t from 'tap';
import { killDaemons } from './kill-daemons.js';

t.setTimeout(2_400_000);

t.test('fifty kills -9: nothing is lost, doubled, damaged or left behind', async (t) => {
  const { findings, kills, killsByKind, ...figures } = await killDaemons({
    kills: 50,
    seed: 1,
    trials: 18,
    abreast: 6,
  });
  t.same(findings, []);
  t.match(figures, { lost: 0, doubled: 0, corrupt: 0, orphans: 0, differing: 0, failed: 0 });
  t.ok(kills >= 50, `${kills} kills`);
  for (const kind of ['study', 'jobs', 'training', 'backup', 'migration'])
    t.ok(killsByKind[kind], `${kind}: ${killsByKind[kind]} kills`);
});
