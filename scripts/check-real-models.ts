/**
 * `node dist/scripts/check-real-models.js FOLDER [--pictures FOLDER] [--only TEXT] [--json FILE]`: every ONNX file under a folder
 * (node_modules with packages that ship models, say), distinct by content: measured on this host as shipped, counted
 * twice, compiled for a board, int8 against float on plausible inputs. Prints a table in Markdown.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Device } from '../daemon/devices/contract.js';
import { OnnxRuntimeDriver } from '../daemon/devices/onnxruntime/driver.js';
import { SessionProcess } from '../daemon/runtime/session-process.js';
import { entryFor } from './real-models/catalogue.js';
import { type Checked, checkModel } from './real-models/check-model.js';
import { withFaces } from './real-models/inputs.js';
import { picturesIn } from './real-models/pictures.js';
import { modelTable, sums } from './real-models/table.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pictures: { type: 'string' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
    calibrating: { type: 'string', default: '32' },
    compared: { type: 'string', default: '40' },
  },
});
const folder = resolve(positionals[0] ?? '.');
const { signal } = new AbortController();

interface Found {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly from: string;
}

/** NAME@VERSION of the package that a file lies in. */
function packageOf(path: string): string {
  for (let at = dirname(path); at.length >= folder.length; at = dirname(at))
    try {
      const { name, version } = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'));
      if (name && version) return `${name} ${version}`;
    } catch {
      // Not a package's own folder.
    }
  return '';
}

function models(): Found[] {
  const seen = new Set<string>();
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.onnx'),
  );
  return files.sort().flatMap((name) => {
    const path = join(folder, name);
    const bytes = new Uint8Array(readFileSync(path));
    const hash = createHash('sha256').update(bytes).digest('hex');
    if (seen.has(hash)) return [];
    seen.add(hash);
    return [{ path, bytes, from: packageOf(path) }];
  });
}

async function thisHost(): Promise<Device> {
  const driver = new OnnxRuntimeDriver({ timeoutMs: 120_000 });
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('this host has no onnxruntime');
}

const all = models();
const named = (text: string): Uint8Array | undefined => all.find(({ path }) => path.includes(text))?.bytes;
const detector = named('fr_detect');
const pictures = flags.pictures ? await picturesIn(flags.pictures) : [];
const sources = {
  pictures: detector ? await withFaces(pictures, detector) : pictures,
  mel: named('melspectrogram'),
  embedding: named('embedding_model'),
};
const [device, runtime] = [await thisHost(), new SessionProcess()];
const rows: { name: string; from: string; checked: Checked | string }[] = [];
for (const { path, bytes, from } of all.filter(({ path }) => path.includes(flags.only))) {
  const options = {
    device,
    runtime,
    sources,
    signal,
    calibrating: Number(flags.calibrating),
    comparing: Number(flags.compared),
  };
  const checked = await checkModel(bytes, entryFor(path), options).catch((error: Error) =>
    String(error.stack),
  );
  rows.push({ name: basename(path), from, checked });
  console.error(`${path.slice(folder.length + 1)}: ${JSON.stringify(checked)}`);
}
await device.close();
await runtime.stop();
if (flags.json) writeFileSync(flags.json, JSON.stringify(rows, null, 2));
console.log(modelTable(rows));
console.log(JSON.stringify(sums(rows)));
