import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { checkFormat } from './firmware/c-format.js';

/** Documents, fragments and words of the tree, held to docs/style.md. */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const folders = ['changelog', 'daemon', 'dashboard', 'docs', 'firmware-bridge', 'scripts', 'test'];
const files = [
  ...readdirSync(root).filter((name) => /\.(md|json)$/.test(name)),
  ...folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  ),
];
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const documents = files.filter((file) => file.endsWith('.md'));

/** As GitHub makes them of headings. */
const anchorsOf = (text: string): Set<string> =>
  new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );

t.test('links within the documents lead somewhere', async (t) => {
  const broken: string[] = [];
  let links = 0;
  for (const file of documents) {
    const text = read(file).replace(/```[\s\S]*?```/g, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      links++;
      const [path = '', anchor] = target.split('#');
      const to = path === '' ? file : join(dirname(file), path);
      const found =
        existsSync(join(root, to)) && (!anchor || !to.endsWith('.md') || anchorsOf(read(to)).has(anchor));
      if (!found) broken.push(`${file}: ${target}`);
    }
  }
  t.ok(links > 40, `${links} links`);
  t.same(broken, []);
});

t.test('fragments of the changelog say what kind of change they are, in few sentences', async (t) => {
  const fragments = files.filter((file) => /^changelog\//.test(file));
  t.ok(fragments.length > 50, `${fragments.length} fragments`);
  t.same(
    fragments.filter((file) => !/^changelog\/(added|changed|fixed|removed)-[a-z0-9-]+\.md$/.test(file)),
    [],
  );
  for (const file of fragments) {
    const text = read(file).trim();
    t.match(text, /[.)`:]$/, `${file} ends as a sentence does`);
    t.ok(text.length > 20 && text.length <= 1200, `${file} has ${text.length} characters`);
  }
});

t.test('decisions are numbered one by one', async (t) => {
  const numbers = readdirSync(join(root, 'docs/decisions')).map((name) => Number(name.slice(0, 4)));
  t.same(
    numbers.sort((a, b) => a - b),
    numbers.map((_, i) => i + 1),
  );
});

t.test('no word that readers stumble over', async (t) => {
  // The pieces keep this file from matching itself.
  const refused = new RegExp(
    `\\b(${[
      'ami' + 'd',
      'les' + 't',
      'who' + 'ever',
      'what' + 'ever',
      'there' + 'of',
      'where' + 'in',
      'for want' + ' of',
      'at' + ' hand',
      'of' + ' itself',
      'to be' + ' had',
      'in the hands' + ' of',
    ]
      // Not `whereIn`, which is a method.
      .map((word) => `[${word[0]}${word[0]?.toUpperCase()}]${word.slice(1)}`)
      .join('|')})\\b`,
  );
  const found = files
    .filter((file) => /\.(md|ts|tsx|sh|py)$/.test(file) && file !== 'docs/style.md')
    .flatMap((file) =>
      read(file)
        .split('\n')
        .flatMap((line, i) => (refused.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
    );
  t.same(found, []);
});

t.test('lint and format', async (t) => {
  try {
    execFileSync(join(root, 'node_modules/.bin/biome'), ['check', '--max-diagnostics=20', '.'], {
      cwd: root,
      encoding: 'utf8',
      stdio: 'pipe',
    });
    t.pass('biome finds nothing');
  } catch (thrown) {
    const { stdout = '', stderr = '' } = thrown as { stdout?: string; stderr?: string };
    t.fail(`${stdout}\n${stderr}`);
  }
});

t.test('C is formatted as all of it is', async (t) => {
  const sources = files.filter((file) => /\.[ch]$/.test(file));
  t.ok(sources.length > 100, `${sources.length} files`);
  t.same(
    sources.flatMap((file) => checkFormat(read(file)).map(({ line, rule }) => `${file}:${line}: ${rule}`)),
    [],
  );
  const slips = (source: string): string[] => checkFormat(source).map(({ line, rule }) => `${line} ${rule}`);
  t.same(slips('int f(void) {\n  if (a) {\n    b();\n  } else {\n    c("if( {");\n  }\n}\n'), []);
  for (const [source, found] of [
    ['int f(void) {\n\treturn 1;\n}\n', '2 no tabs'],
    ['int f(void) {\n  return 1; \n}\n', '2 no white space at the end'],
    ['int f(void) {\n  return 1;\n}', '3 one line feed at the end'],
    ['int f(void) {\n  return 1;\n}\n\n', '5 one line feed at the end'],
    ['int f(void) {\n  if(a) return 1;\n}\n', '2 a space after a keyword'],
    ['int f(void)\n{\n  if (a)\n  {\n    b();\n  }\n}\n', '4 a brace ends the line that it belongs to'],
    ['int f(void) {\n  if (a) {\n    b();\n  }\n  else\n    c();\n}\n', '5 else follows its brace'],
    ['int f(void) {\n  if (a){\n    b();\n  }\n}\n', '2 a space before a brace'],
    ['int f(void) {\n  if (a) {\n  b();\n  }\n}\n', '3 indentation of 4'],
    ['int f(void) {\n   return 1;\n}\n', '2 indentation by two'],
    ['int f(void) {\n  return 1;\n', '3 braces in pairs'],
    [`int f(void) {\n  return ${'1 + '.repeat(40)}1;\n}\n`, '2 at most 140 columns'],
    ['int f(const char * a) {\n  return 1;\n}\n', '1 a star stands at its name'],
  ] as const)
    t.ok(slips(source).includes(found), `${found}: ${slips(source).join(', ')}`);
});
