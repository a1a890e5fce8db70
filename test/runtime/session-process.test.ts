import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import type { ErrorCode } from '../../daemon/core/errors.js';
import { floatTensor, type Graph, int64Tensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { failureTables } from '../../daemon/runtime/failures/registry.js';
import { programFailure, runtimeFailure } from '../../daemon/runtime/runtime-failure.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { parseTrace } from '../../daemon/runtime/trace.js';

/** y = x + w, a running sum when y is carried to x. */
function addition(): Uint8Array {
  const builder = new GraphBuilder({ name: 'addition' });
  builder.output(
    builder.add(builder.input('x', 'float32', [4]), builder.constant('w', floatTensor([4], [1, 2, 3, 4]))),
    'y',
  );
  return writeOnnx(builder.build());
}

/** 118 bytes that ask for 16 GiB: a constant scalar expanded to 2^32 floats. */
function bomb(): Uint8Array {
  const graph: Graph = {
    name: 'bomb',
    opset: 17,
    inputs: [{ name: 'x', dtype: 'float32', dims: [1] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: [2 ** 32] }],
    initializers: new Map([['shape', int64Tensor([2 ** 32])]]),
    nodes: [{ name: 'n', op: 'Expand', domain: '', inputs: ['x', 'shape'], outputs: ['y'], attributes: {} }],
  };
  return writeOnnx(graph);
}

/** A Loop of 2^60 trips that only adds one. */
function endless(): Uint8Array {
  const body: Graph = {
    name: 'body',
    opset: 17,
    inputs: [
      { name: 'i', dtype: 'int64', dims: [] },
      { name: 'go', dtype: 'bool', dims: [] },
      { name: 'a', dtype: 'float32', dims: [1] },
    ],
    outputs: [
      { name: 'again', dtype: 'bool', dims: [] },
      { name: 'b', dtype: 'float32', dims: [1] },
    ],
    initializers: new Map([['one', floatTensor([1], [1])]]),
    nodes: [
      { name: 'id', op: 'Identity', domain: '', inputs: ['go'], outputs: ['again'], attributes: {} },
      { name: 'add', op: 'Add', domain: '', inputs: ['a', 'one'], outputs: ['b'], attributes: {} },
    ],
  };
  return writeOnnx({
    name: 'endless',
    opset: 17,
    inputs: [{ name: 'x', dtype: 'float32', dims: [1] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: [1] }],
    initializers: new Map([
      ['trips', int64Tensor([2 ** 60], [])],
      ['yes', { dtype: 'bool', dims: [], data: Uint8Array.of(1) }],
    ]),
    nodes: [
      {
        name: 'loop',
        op: 'Loop',
        domain: '',
        inputs: ['trips', 'yes', 'x'],
        outputs: ['y'],
        attributes: { body },
      },
    ],
  });
}

const ones = { type: 'float32', dims: [4], data: Float32Array.of(1, 1, 1, 1) } as const;

t.test('load, run, carry, time, profile, release', async (t) => {
  const process = new SessionProcess();
  t.teardown(() => process.stop());
  const { handle, inputs, outputs, loadUs } = await process.load(addition());
  t.same(inputs, [{ name: 'x', type: 'float32', dims: [4] }]);
  t.same(
    outputs.map((o) => o.name),
    ['y'],
  );
  t.ok(loadUs > 0);
  const { firstRunUs } = await process.firstRun(handle);
  t.ok(firstRunUs > 0);

  t.same((await process.run(handle, { x: ones })).y?.data, Float32Array.of(2, 3, 4, 5));
  t.same(
    await process.run(handle, { x: ones }, { carry: { x: 'y' } }),
    {},
    'a carried output stays in the child',
  );
  t.same(
    (await process.run(handle, {}, { carry: { x: 'y' }, fetch: ['y'] })).y?.data,
    Float32Array.of(3, 5, 7, 9),
  );
  t.same((await process.carried(handle)).x?.data, Float32Array.of(3, 5, 7, 9));
  await t.rejects(process.run(handle, { x: ones }, { fetch: ['z'] }), { code: 'REQUEST_INVALID' });
  await t.rejects(process.run(handle, { x: { ...ones, dims: [2], data: Float32Array.of(1, 1) } }), {
    code: 'NETWORK_REJECTED',
  });

  const timed = await process.time([
    { handle, runs: 3 },
    { handle, runs: 2 },
  ]);
  t.same(
    timed.samplesUs.map((leg) => leg.length),
    [3, 2],
  );
  t.ok(timed.samplesUs.every((leg) => leg.every((us) => us > 0)));
  t.ok(timed.samplesUs.flatMap((leg) => [...leg]).reduce((a, b) => a + b) <= timed.wallUs);

  const traced = await process.load(addition(), { profile: true });
  const rows = await process.profile(traced.handle, 2);
  t.same(
    rows.map(({ run, op, provider }) => [run, op, provider]),
    [
      [0, 'Add', 'cpu'],
      [1, 'Add', 'cpu'],
    ],
  );
  await t.rejects(process.profile(handle, 1), { code: 'REQUEST_INVALID' });

  await process.release(handle);
  await t.rejects(process.run(handle, { x: ones }), { code: 'NOT_FOUND' });
});

t.test('hostile input gives its code, and the next call works', async (t) => {
  const process = new SessionProcess({ memoryLimitBytes: 4 * 2 ** 30 });
  t.teardown(() => process.stop());
  await t.rejects(process.load(Uint8Array.of(1, 2, 3)), { code: 'FAILURE_UNEXPLAINED' });
  await t.rejects(process.load(addition(), { provider: 'bogus' }), { code: 'PROVIDER_UNKNOWN' });
  const greedy = await process.load(bomb());
  await t.rejects(process.firstRun(greedy.handle), { code: 'DEVICE_OUT_OF_MEMORY' });

  const stuck = await process.load(endless());
  const pid = process.pid as number;
  await t.rejects(process.firstRun(stuck.handle, { timeoutMs: 300 }), { code: 'DEVICE_TIMEOUT' });
  await t.rejects(
    process.firstRun(stuck.handle),
    { code: 'NOT_FOUND' },
    'sessions of the killed process are gone',
  );
  t.equal(await isGone(pid), true);

  const again = await process.load(endless());
  const controller = new AbortController();
  const running = process.firstRun(again.handle, { signal: controller.signal });
  setTimeout(() => controller.abort(), 100);
  await t.rejects(running, { code: 'INTERRUPTED' });

  const doomed = await process.load(endless());
  const crashed = process.firstRun(doomed.handle);
  globalThis.process.kill(process.pid as number, 'SIGKILL');
  await t.rejects(crashed, {
    code: 'DEVICE_FAILED',
    message: /SIGKILL/,
    details: { memory: true },
  });
  t.ok(await process.load(addition()));
});

t.test(
  'the child sees nothing of the daemon: environment, folder, limits',
  { skip: !existsSync('/proc/self/environ') },
  async (t) => {
    const process = new SessionProcess({ memoryLimitBytes: 5 * 2 ** 30, environment: { GREETING: 'hello' } });
    await process.describe();
    const read = (file: string): string => readFileSync(`/proc/${process.pid}/${file}`, 'utf8');
    // The test runner and Node's coverage add their variables to every child; the shell adds its folder.
    const names = read('environ')
      .split('\0')
      .filter(Boolean)
      .map((entry) => entry.split('=')[0]);
    t.same(
      names.filter(
        (name) =>
          !/^(NODE_CHANNEL_|PWD$|OLDPWD$|SHLVL$|_$|_TAPJS_|NODE_OPTIONS$|NODE_V8_COVERAGE$)/.test(name ?? ''),
      ),
      ['GLIBC_TUNABLES', 'GREETING'],
    );
    t.match(read('limits'), new RegExp(`Max address space\\s+${5 * 2 ** 30}`));
    const pid = process.pid as number;
    await process.stop();
    await process.stop();
    t.equal(await isGone(pid), true);
  },
);

t.test('words of the runtime and of its trace', async (t) => {
  const said: readonly [string, ErrorCode, object][] = [
    ['std::bad_alloc', 'DEVICE_OUT_OF_MEMORY', { memory: true }],
    ['graph nodes that are assigned to the default CPU EP', 'PROVIDER_FALLBACK', { suspect: 'network' }],
    ['Failed to get a WebGPU adapter', 'DEVICE_FAILED', { suspect: 'device' }],
    ['TypeError: Load failed', 'DEVICE_FAILED', { suspect: 'device' }],
    ["running Conv node. Name:'Failed to fetch' Status", 'FAILURE_UNEXPLAINED', {}],
    ['Auf dem Gerät ist kein Speicherplatz mehr', 'FAILURE_UNEXPLAINED', {}],
  ];
  for (const [words, code, details] of said) {
    const error = runtimeFailure(new Error(words));
    t.equal(error.code, code, words);
    t.strictSame(error.details, details, words);
  }
  const ends: readonly [number | null, string | null, string, ErrorCode, object, RegExp][] = [
    [127, null, 'sh: not found', 'DEVICE_FAILED', { suspect: 'device' }, /not there/],
    [
      126,
      null,
      'Could not find an implementation for Pad(13)',
      'DEVICE_FAILED',
      { suspect: 'device' },
      /ABI/,
    ],
    [134, null, 'CANNOT LINK EXECUTABLE "r": library', 'DEVICE_FAILED', { suspect: 'device' }, /aborted/],
    [137, null, '', 'DEVICE_FAILED', { memory: true }, /out-of-memory killer/],
    [null, 'SIGSEGV', '', 'DEVICE_FAILED', {}, /segmentation fault/],
    [132, null, '', 'DEVICE_FAILED', { suspect: 'device' }, /instruction/],
    [
      1,
      null,
      'Could not find an implementation for Pad(13)',
      'NETWORK_REJECTED',
      { suspect: 'network' },
      /Pad/,
    ],
    [1, null, 'Erreur', 'FAILURE_UNEXPLAINED', {}, /^it ended with code 1: Erreur$/],
    [200, null, '', 'FAILURE_UNEXPLAINED', {}, /^it ended with code 200$/],
  ];
  for (const [exit, signal, words, code, details, message] of ends) {
    const error = programFailure('it', { code: exit, signal }, words);
    t.match(error, { code, message });
    t.strictSame(error.details, details, error.message);
  }
  for (const [runtime, entries] of Object.entries(failureTables))
    for (const { words, source } of entries) t.ok(source.length > 5, `${runtime} ${words} has a source`);
  t.throws(() => parseTrace('[{'), { code: 'DEVICE_FAILED' });
  t.same(parseTrace('[{"cat":"Session","name":"model_run"},{"cat":"Node","name":"a_fence_before"}]'), []);
});

async function isGone(pid: number): Promise<boolean> {
  for (let i = 0; i < 1000; i++) {
    try {
      globalThis.process.kill(pid, 0);
    } catch {
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
