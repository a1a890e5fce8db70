import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';
import { cyclesOf, readModules } from './module-graph.js';

/** The house's import rules (docs/architecture.md), held against every import in the tree. */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const order = [
  'core',
  'faults',
  'network',
  'data',
  'runtime',
  'predict',
  'reading',
  'search',
  'measure',
  'devices',
  'plugins',
  'train',
  'evaluate',
  'store',
  'access',
  'fleet',
  'agent',
  'jobs',
  'benchmarks',
  'schedules',
  'rollouts',
  'study',
  'predictors',
  'journal',
  'api',
  'process',
  'simulation',
  'testing',
  'library',
  'cli',
];
const pure = ['core', 'network', 'predict', 'search'];
/** Packages that pure folders may use: they do no I/O. */
const purePackages = ['@noble/hashes', 'zod', 'onnx-proto', 'yaml', 'flatbuffers'];
/** Packages with one home. */
const homes: Record<string, string[]> = {
  knex: ['store'],
  sqlite3: ['store'],
  'onnxruntime-node': ['runtime'],
  express: ['api'],
  ws: ['api', 'process'],
  'node-cron': ['fleet'],
  'prom-client': ['api'],
  selfsigned: ['api'],
  'onnxruntime-web': [],
  uqr: ['cli'],
  sharp: ['data'],
  wavefile: ['data'],
  serialport: ['firmware-bridge/link'],
  rp2040js: ['firmware-bridge/emulator'],
  commander: ['cli'],
  'string-width': ['cli'],
};

interface Import {
  readonly file: string;
  readonly specifier: string;
}

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(folder, name));
}

function importsOf(file: string): Import[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), 'utf8'), true, true);
  return importedFiles.map(({ fileName }) => ({ file, specifier: fileName }));
}

const all = sources('daemon').flatMap(importsOf);
const bridge = sources('firmware-bridge').flatMap(importsOf);
const roomOf = (path: string): string => path.split('/')[1] ?? '';
const isRelative = ({ specifier }: Import): boolean => specifier.startsWith('.');
const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
const shown = (list: Import[]): string[] => list.map((i) => `${i.file} -> ${i.specifier}`);

t.test('the scan sees the tree', async (t) => {
  t.ok(all.length > 100, `${all.length} imports`);
  t.same(
    [...new Set(all.map((i) => roomOf(i.file)))].filter((room) => !order.includes(room)),
    [],
    'every folder of daemon/ has its place in the order',
  );
});

t.test('imports point up the list only', async (t) => {
  const wrong = all.filter(isRelative).filter(({ file, specifier }) => {
    const to = relative(root, resolve(root, dirname(file), specifier));
    if (!to.startsWith('daemon/'))
      return !file.startsWith('daemon/devices/mcu/') || !to.startsWith('firmware-bridge/');
    return order.indexOf(roomOf(to)) > order.indexOf(roomOf(file));
  });
  t.same(shown(wrong), []);
});

t.test('firmware-bridge knows core and network alone, and its compiler no line', async (t) => {
  const rooms = ['core', 'network'];
  const wrong = bridge.filter(isRelative).filter(({ file, specifier }) => {
    const to = relative(root, resolve(root, dirname(file), specifier));
    if (to.startsWith('daemon/')) return !rooms.includes(roomOf(to));
    return roomOf(file) === 'compiler' ? roomOf(to) !== 'compiler' : !to.startsWith('firmware-bridge/');
  });
  t.ok(bridge.length > 50, `${bridge.length} imports`);
  t.same(shown(wrong), []);
});

t.test('one kind of device knows no other', async (t) => {
  /** A phone on a cable runs networks in its browser. */
  const allowed = ['adb -> browser'];
  const kindOf = (path: string): string | undefined => /^daemon\/devices\/([^/]+)\//.exec(path)?.[1];
  const wrong = all.filter(isRelative).filter(({ file, specifier }) => {
    const [from, to] = [kindOf(file), kindOf(relative(root, resolve(root, dirname(file), specifier)))];
    return from !== undefined && to !== undefined && from !== to && !allowed.includes(`${from} -> ${to}`);
  });
  t.same(shown(wrong), []);
});

t.test('an agent of another daemon knows no fleet', async (t) => {
  const wrong = all.filter(isRelative).filter(({ file, specifier }) => {
    const to = relative(root, resolve(root, dirname(file), specifier));
    return roomOf(file) === 'agent' && roomOf(to) === 'fleet';
  });
  t.same(shown(wrong), []);
});

t.test('pure folders do no I/O', async (t) => {
  const wrong = all.filter(
    (i) => pure.includes(roomOf(i.file)) && !isRelative(i) && !purePackages.includes(packageOf(i.specifier)),
  );
  t.same(shown(wrong), []);
});

t.test('packages stay in their home', async (t) => {
  const wrong = [...all, ...bridge].filter(({ file, specifier }) => {
    const home = homes[packageOf(specifier)];
    return home !== undefined && !home.some((folder) => `/${file}`.includes(`/${folder}/`));
  });
  t.same(shown(wrong), []);
});

t.test('the dashboard speaks to the daemon through its public API, and shares its words alone', async (t) => {
  const page = sources('dashboard').flatMap(importsOf).filter(isRelative);
  const outside = page.filter(({ file, specifier }) => {
    const to = relative(root, resolve(root, dirname(file), specifier));
    return !to.startsWith('dashboard/') && !to.startsWith('daemon/core/');
  });
  t.ok(page.length > 30, `${page.length} imports`);
  t.same(shown(outside), []);
});

t.test('time and chance are injected', async (t) => {
  const banned = /\b(Date\.now|Math\.random|performance\.now|setTimeout|setInterval)\s*\(/;
  // Child processes have no daemon to inject a clock; each says why it reads its own.
  const exempt = ['daemon/core/clock.ts', ...sources('daemon/runtime').filter((file) => /child/.test(file))];
  const wrong = [...sources('daemon'), ...sources('firmware-bridge')].filter(
    (file) => !exempt.includes(file) && banned.test(readFileSync(join(root, file), 'utf8')),
  );
  t.same(wrong, []);
});

const modules = readModules(root, ['daemon', 'firmware-bridge', 'dashboard', 'scripts', 'test']);

t.test('no modules import each other in a circle, types included', async (t) => {
  t.ok(modules.imports.size > 900, `${modules.imports.size} modules`);
  t.same(cyclesOf(modules.imports), []);
  const circle = new Map([
    ['a', new Set(['b', 'd'])],
    ['b', new Set(['c'])],
    ['c', new Set(['a'])],
    ['d', new Set<string>()],
  ]);
  t.same(cyclesOf(circle), [['a', 'b', 'c']], 'a circle is found');
});

t.test('no folders beside each other import each other in a circle', async (t) => {
  // A folder and the one that holds it may: a registry names its members, and they know its contract.
  const parts = new Map<string, Set<string>>();
  const holds = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);
  for (const [file, targets] of modules.imports) {
    const from = dirname(file);
    if (!/^(daemon|firmware-bridge|dashboard)\//.test(from)) continue;
    const beside = [...targets].map((target) => dirname(target));
    const set = parts.get(from) ?? new Set();
    for (const to of beside) if (!holds(from, to) && !holds(to, from)) set.add(to);
    parts.set(from, set);
  }
  t.same(cyclesOf(parts), []);
});

t.test('work reaches devices as data: jobs alone use the pool', async (t) => {
  const text = (file: string): string => readFileSync(join(root, file), 'utf8');
  const files = sources('daemon');
  const within = (file: string, ...folders: string[]): boolean =>
    folders.some((folder) => file.startsWith(`daemon/${folder}/`));
  const users = files.filter((file) => /\bpool\.use\(/.test(text(file)));
  t.same(users, ['daemon/jobs/runner.ts']);
  const holders = files.filter((file) => /import[^;]*\bDevice\b[^;]*devices\/contract\.js/.test(text(file)));
  t.ok(holders.includes('daemon/jobs/attempt.ts'), `${holders.length} files know open devices`);
  t.same(
    holders.filter((file) => !within(file, 'devices', 'plugins', 'fleet', 'agent', 'jobs', 'testing')),
    [],
  );
  const storing = files.filter((file) => /\b(addMeasurement|turnJobs)\(/.test(text(file)));
  t.same(
    storing.filter((file) => !within(file, 'store')),
    ['daemon/jobs/job-turns.ts'],
    'one place stores results',
  );
});

t.test('every exported value is imported somewhere', async (t) => {
  const ours = /^(daemon|firmware-bridge|dashboard|scripts)\//;
  t.same(
    modules.unusedValues.filter((value) => ours.test(value)),
    [],
  );
});

t.test('help and version load no implementation', async (t) => {
  const statics = (file: string): string[] =>
    [
      ...readFileSync(join(root, file), 'utf8').matchAll(
        /^(?:import|export) (?!type )(?:[^'";]*? from )?'([^']+)';$/gm,
      ),
    ].map(([, specifier]) => specifier as string);
  /** Every file that starting at `file` loads at once, and the packages. */
  const closure = (file: string, seen: Set<string>): Set<string> => {
    if (seen.has(file)) return seen;
    seen.add(file);
    for (const specifier of statics(file)) {
      const to = relative(root, resolve(root, dirname(file), specifier)).replace(/\.js$/, '.ts');
      if (specifier.startsWith('.')) closure(to, seen);
      else seen.add(specifier);
    }
    return seen;
  };
  const commands = sources('daemon/cli/commands');
  t.ok(commands.length > 30, `${commands.length} commands`);
  const light =
    /^(node:|commander$|daemon\/(cli|core)\/|daemon\/process\/installation\.ts$|daemon\/.*-names\.ts$|daemon\/api\/problem\.ts$)/;
  const mayBeSaid = ['daemon/study/winner.ts'];
  for (const file of ['daemon/cli/main.ts', ...commands])
    t.same(
      [...closure(file, new Set())].filter((one) => !light.test(one) && !mayBeSaid.includes(one)),
      [],
      file,
    );
  t.ok(closure('daemon/cli/main.ts', new Set()).size <= 20, 'no command is loaded that is not named');
});
