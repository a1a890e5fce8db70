import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Surface } from './read-surface.js';

/**
 * The public surface of the package, held against test/library/surface.txt. After a wanted change:
 * `UPDATE_SURFACE=1 node dist/test/library/surface.test.js`, a fragment in changelog/ and, where plug-ins break, a new
 * `pluginContract`.
 */
const root = fileURLToPath(new URL('../../../', import.meta.url));
const kept = join(root, 'test/library/surface.txt');
const { name, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly name: string;
  readonly exports: Readonly<Record<string, string>>;
};
const entries = Object.entries(exports).filter(([, file]) => file.endsWith('.js'));
/** test/api/openapi.test.ts holds what the API answers, test/cli/cli.test.ts the table of errors. */
const isHeldElsewhere = (file: string): boolean => /\/daemon\/(api\/|core\/errors\.)/.test(file);

t.test('every entry of the package has its code and its declarations', async (t) => {
  t.same(
    entries.map(([entry]) => entry),
    ['.', './search', './plugin', './testing'],
  );
  for (const [, file] of entries)
    for (const path of [file, file.replace(/\.js$/, '.d.ts')]) t.ok(existsSync(join(root, path)), path);
});

t.test('the public surface is the one that was agreed on', async (t) => {
  const surface = new Surface(join(root, 'dist'));
  const lines: string[] = [];
  const exported = entries.map(([entry, file]) => ({
    title: join(name, entry),
    declared: surface.exportsOf(join(root, file.replace(/\.js$/, '.d.ts'))),
  }));
  const said = new Set<string>();
  for (const { title, declared } of exported) {
    lines.push(`# ${title}`, '');
    for (const one of declared) {
      // Its methods are the operations of openapi.json.
      const isClient = one.name === 'DaemonClient';
      const text = isClient
        ? 'class DaemonClient: a method an operation'
        : surface.textOf(one, { shapes: !isHeldElsewhere(one.file) });
      lines.push(said.has(text) ? `${one.name}: as above` : text, '');
      said.add(text);
    }
  }
  const reached = surface.reachedFrom(exported.flatMap(({ declared }) => declared));
  lines.push('# Referred to', '');
  for (const one of reached) {
    const text = surface.textOf(one);
    if (said.has(text) || isHeldElsewhere(one.file)) continue;
    said.add(text);
    lines.push(`// ${relative(join(root, 'dist'), one.file).replace(/\.d\.ts$/, '.ts')}`, text, '');
  }
  const now = lines.join('\n');
  if (process.env.UPDATE_SURFACE) writeFileSync(kept, now);
  t.ok(
    exported.every(({ declared }) => declared.length >= 10),
    'each entry exports something',
  );
  t.equal(now, readFileSync(kept, 'utf8'), 'see the head of this test for how it is changed');
});
