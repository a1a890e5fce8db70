import { readdir, readFile, unlink } from 'node:fs/promises';
import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import { HildaError } from '../core/errors.js';
import { declaredFeeds, fixedFeeds, toRuntimeValue } from './fixed-feeds.js';
import type {
  Answers,
  FirstRun,
  InputFeed,
  Leg,
  LoadedSession,
  Request,
  RunOptions,
  RuntimeDescription,
  RuntimeTensor,
  RuntimeTensors,
  SessionOptions,
  TimedLegs,
  TraceRow,
} from './messages.js';
import { RssWatch, readStealShare } from './process-memory.js';
import { parseTrace } from './trace.js';

interface Hosted {
  readonly session: InferenceSession;
  readonly tracePrefix: string | null;
  /** What timed runs are fed with, where the caller said so. */
  readonly inputs: readonly InputFeed[] | null;
  /** The outputs that are tensors, where not all are; null for all. */
  readonly fetches: readonly string[] | null;
  /** Built on first use: a session that is only run with given feeds never pays for it. */
  feeds: Record<string, Tensor> | null;
  /** What timed runs write their outputs to, once one run has told their shapes; null where that cannot be. */
  sinks?: Record<string, Tensor> | null;
  readonly carried: Map<string, Tensor>;
}

/** The sessions of one child process. Lives inside the child only. */
export class SessionHost {
  readonly #sessions = new Map<number, Hosted>();
  #nextHandle = 1;

  async serve(request: Request): Promise<Answers[keyof Answers]> {
    switch (request.op) {
      case 'load':
        return this.#load(request.model, request.options, request.feeds);
      case 'run':
        return this.#run(this.#hosted(request.handle), request.feeds, request.options);
      case 'carried':
        return Object.fromEntries(
          [...this.#hosted(request.handle).carried].map(([name, tensor]) => [name, fromTensor(tensor)]),
        );
      case 'time':
        return this.#time(request.legs);
      case 'firstRun':
        return this.#firstRun(this.#hosted(request.handle));
      case 'profile':
        return this.#profile(this.#hosted(request.handle), request.runs);
      case 'release':
        return this.#release(request.handle);
      case 'describe':
        return describe();
    }
  }

  async #load(
    model: Uint8Array,
    options: SessionOptions,
    inputs: readonly InputFeed[] | null,
  ): Promise<LoadedSession> {
    const { provider, threads, optimisation, arena, profile } = options;
    const { providers } = describe();
    // onnxruntime itself drops an unknown provider with a console warning and runs on the CPU.
    if (!providers.includes(provider)) {
      throw new HildaError(
        'PROVIDER_UNKNOWN',
        `no execution provider "${provider}"; this onnxruntime has ${providers.join(', ')}`,
      );
    }
    const handle = this.#nextHandle++;
    const tracePrefix = profile ? `trace-${handle}-` : null;
    const startMs = performance.now();
    const session = await InferenceSession.create(model, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: optimisation,
      enableCpuMemArena: arena,
      enableMemPattern: arena,
      logSeverityLevel: 3,
      ...(tracePrefix === null ? {} : { enableProfiling: true, profileFilePrefix: tracePrefix }),
      ...(provider === 'cpu' ? {} : { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
    });
    const loadUs = (performance.now() - startMs) * 1000;
    const outputs = session.outputMetadata.map(toRuntimeValue);
    const tensors = outputs.flatMap(({ name, type }) => (type === null ? [] : [name]));
    const fetches = tensors.length < outputs.length ? tensors : null;
    this.#sessions.set(handle, { session, tracePrefix, inputs, fetches, feeds: null, carried: new Map() });
    return { handle, loadUs, inputs: session.inputMetadata.map(toRuntimeValue), outputs };
  }

  async #run(
    hosted: Hosted,
    feeds: RuntimeTensors,
    { fetch, carry = {} }: RunOptions,
  ): Promise<RuntimeTensors> {
    const given = Object.entries(feeds).map(([name, tensor]) => [name, toTensor(tensor)] as const);
    const results = await runOn(hosted, Object.fromEntries([...hosted.carried, ...given]));
    const result = (name: string, what: string): Tensor => {
      const tensor = Object.hasOwn(results, name) ? results[name] : undefined;
      if (tensor) return tensor;
      throw new HildaError('REQUEST_INVALID', `the network has no output "${name}"${what}`);
    };
    for (const [input, output] of Object.entries(carry))
      hosted.carried.set(input, result(output, ' to carry'));
    const kept = new Set(Object.values(carry));
    const names = fetch ?? Object.keys(results).filter((name) => !kept.has(name));
    return Object.fromEntries(names.map((name) => [name, fromTensor(result(name, ''))]));
  }

  async #time(legs: readonly Leg[]): Promise<TimedLegs> {
    const prepared: { run: () => Promise<unknown>; samplesUs: Float64Array }[] = [];
    for (const { handle, runs } of legs)
      prepared.push({ run: await timedRun(this.#hosted(handle)), samplesUs: new Float64Array(runs) });
    const steal = readStealShare();
    const cpuBefore = process.cpuUsage();
    const startMs = performance.now();
    for (const { run, samplesUs } of prepared) {
      for (let i = 0; i < samplesUs.length; i++) {
        const runStartMs = performance.now();
        await run();
        samplesUs[i] = (performance.now() - runStartMs) * 1000;
      }
    }
    const wallUs = (performance.now() - startMs) * 1000;
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      samplesUs: prepared.map((leg) => leg.samplesUs),
      wallUs,
      cpuUs: user + system,
      stealShare: steal(),
    };
  }

  async #firstRun(hosted: Hosted): Promise<FirstRun> {
    const feeds = feedsOf(hosted);
    const watch = RssWatch.start();
    const startMs = performance.now();
    await runOn(hosted, feeds);
    const firstRunUs = (performance.now() - startMs) * 1000;
    return { firstRunUs, runPeakRssBytes: watch?.riseBytes() ?? null };
  }

  async #profile(hosted: Hosted, runs: number): Promise<readonly TraceRow[]> {
    const { session, tracePrefix } = hosted;
    if (tracePrefix === null)
      throw new HildaError('REQUEST_INVALID', 'the session was loaded without profiling');
    const feeds = feedsOf(hosted);
    for (let i = 0; i < runs; i++) await runOn(hosted, feeds);
    session.endProfiling();
    // The runtime appends the time of day to the prefix; the working folder is this process's own.
    const file = (await readdir('.')).find((name) => name.startsWith(tracePrefix));
    if (file === undefined) throw new HildaError('DEVICE_FAILED', 'onnxruntime wrote no profile');
    const text = await readFile(file, 'utf8');
    await unlink(file);
    return parseTrace(text);
  }

  async #release(handle: number): Promise<null> {
    const hosted = this.#hosted(handle);
    this.#sessions.delete(handle);
    await hosted.session.release();
    return null;
  }

  #hosted(handle: number): Hosted {
    const hosted = this.#sessions.get(handle);
    if (hosted === undefined) throw new HildaError('NOT_FOUND', `no session ${handle} in this process`);
    return hosted;
  }
}

/** Every output that is a tensor. The binding throws on any other, and the text of its error names none. */
function runOn({ session, fetches }: Hosted, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  if (fetches === null) return session.run(feeds) as Promise<Record<string, Tensor>>;
  if (fetches.length > 0) return session.run(feeds, fetches) as Promise<Record<string, Tensor>>;
  throw new HildaError(
    'NETWORK_REJECTED',
    `no output is a tensor: ${session.outputNames.join(', ')} are sequences, maps or optional values`,
    { hint: "onnxruntime's binding for Node returns tensors only: add an output that is one." },
  );
}

/**
 * One timed run. Outputs go to tensors that stay: a fresh one for each run leaves the C heap and the collector in one of
 * two states for as long as the process lives, and in the worse one a network of 13 KB of output is 20 % slower.
 */
async function timedRun(hosted: Hosted): Promise<() => Promise<unknown>> {
  const feeds = feedsOf(hosted);
  if (hosted.sinks === undefined) hosted.sinks = sinksFor(await runOn(hosted, feeds));
  const { session, sinks } = hosted;
  return sinks === null ? () => runOn(hosted, feeds) : () => session.run(feeds, sinks);
}

/** Null where an output is text, lies elsewhere than in main memory, or has no element. */
function sinksFor(outputs: Record<string, Tensor>): Record<string, Tensor> | null {
  const sinks: Record<string, Tensor> = {};
  for (const [name, { type, data, dims, location }] of Object.entries(outputs)) {
    if (location !== 'cpu' || !ArrayBuffer.isView(data) || data.byteLength === 0) return null;
    sinks[name] = new Tensor(type, data.slice() as never, dims) as Tensor;
  }
  return sinks;
}

function feedsOf(hosted: Hosted): Record<string, Tensor> {
  const inputs = hosted.inputs ?? declaredFeeds(hosted.session.inputMetadata.map(toRuntimeValue));
  hosted.feeds ??= Object.fromEntries(
    Object.entries(fixedFeeds(inputs)).map(([name, tensor]) => [name, toTensor(tensor)]),
  );
  return hosted.feeds;
}

function describe(): RuntimeDescription {
  return {
    runtimeVersion: env.versions.node ?? env.versions.common,
    nodeVersion: process.versions.node,
    providers: listSupportedBackends().map((backend) => backend.name),
  };
}

const toTensor = ({ type, data, dims }: RuntimeTensor): Tensor =>
  new Tensor(type, data as never, dims) as Tensor;

function fromTensor({ type, dims, data }: Tensor): RuntimeTensor {
  const bits =
    type === 'float16' && ArrayBuffer.isView(data) && !(data instanceof Uint16Array)
      ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
      : data;
  return { type: type as RuntimeTensor['type'], dims, data: bits as RuntimeTensor['data'] };
}
