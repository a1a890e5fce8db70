import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { openDrivers } from '../../daemon/devices/registry.js';
import { runHere } from '../cli/run-command.js';

t.setTimeout(900_000);
const main = fileURLToPath(new URL('../../daemon/cli/main.js', import.meta.url));

/** Options for a process of Node.js in which a native module cannot be loaded. */
async function without(t: Test, ...modules: readonly string[]): Promise<{ folder: string; flag: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-kinds-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const hooks = `export async function resolve(specifier, context, next) {
    if (${JSON.stringify(modules)}.includes(specifier)) throw new Error(specifier + '.node: wrong ELF class');
    return next(specifier, context);
  }`;
  const path = join(folder, 'without.mjs');
  await writeFile(join(folder, 'hooks.mjs'), hooks);
  await writeFile(path, "import { register } from 'node:module'; register('./hooks.mjs', import.meta.url);");
  return { folder, flag: `--import=${pathToFileURL(path).href}` };
}

t.test('without serialport and sharp, the daemon runs and says which boards it cannot use', async (t) => {
  const { folder, flag } = await without(t, 'serialport', 'sharp');
  // The daemon's token is looked for in the user's own folders.
  const { PATH, HOME, XDG_STATE_HOME } = process.env;
  const env = { PATH, ...(HOME && { HOME }), ...(XDG_STATE_HOME && { XDG_STATE_HOME }) };
  const doctor = await promisify(execFile)(process.execPath, [flag, main, 'doctor', '--json'], { env });
  const { findings } = JSON.parse(doctor.stdout) as { findings: { level: string; what: string }[] };
  t.match(
    findings.filter(({ level }) => level === 'fault').map(({ what }) => what),
    [/boards on serial ports cannot be used: the native module serialport .*wrong ELF class/],
  );
  t.ok(
    findings.some(({ level, what }) => level === 'ok' && /computes with onnxruntime \d/.test(what)),
    'the processor of this machine can be measured',
  );

  const child = spawn(
    process.execPath,
    [flag, main, 'up', '--data', join(folder, 'data'), '--port', '0', '--json'],
    { env, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  t.teardown(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      const [line, ...rest] = text.split('\n');
      if (rest.length > 0) resolve((JSON.parse(line as string) as { url: string }).url);
    });
    void ended.then((code) => reject(new Error(`the daemon ended with ${code}`)));
  });
  const listed = await runHere(['devices', 'list', '--host', url]);
  t.equal(listed.code, 0, listed.err);
  t.match(listed.err, /devices of the kind mcu cannot be used: .*serialport.*Run npm run setup/);
  t.match(listed.out, /onnxruntime/);
  t.match(listed.out, /emulated-rp2040-pico/, 'an emulated board needs no serial port');
});

t.test(
  'without onnxruntime-node, the processor of this machine stands in the list with its obstacle',
  async (t) => {
    const { flag } = await without(t, 'onnxruntime-node');
    const { drivers, unusable } = await openDrivers({ onnxruntime: { environment: { NODE_OPTIONS: flag } } });
    t.same(unusable, [], 'it loads in processes of its own');
    const seen = [];
    for await (const sighting of drivers[0]!.discover({ signal: new AbortController().signal }))
      seen.push(sighting);
    t.match(seen, [{ kind: 'onnxruntime', obstacle: /onnxruntime does not start: .*Run npm run setup/ }]);
  },
);
