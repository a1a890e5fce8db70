import { HildaError } from '../../daemon/core/errors.js';
import type { Device } from '../../daemon/devices/contract.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { bindInputs } from '../../daemon/network/bind-inputs.js';
import { countKnownCost } from '../../daemon/network/cost.js';
import type { Feed, Graph, Tensor } from '../../daemon/network/graph.js';
import { checkNetworkLimits } from '../../daemon/network/limits.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import type { RuntimeTensors } from '../../daemon/runtime/messages.js';
import type { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import { type CompiledNetwork, compile } from '../../firmware-bridge/compiler/index.js';
import { type Count, independentCount } from '../../test/agreement/independent-count.js';
import { roomyBoard } from '../../test/agreement/int8-stage.js';
import { type Given, numbers, Oracle } from '../../test/agreement/onnxruntime.js';
import { type Agreement, agreement } from './agreement.js';
import type { Entry } from './catalogue.js';
import { runExportedOn } from './exported-run.js';
import { plausibleFeeds, type Sources } from './inputs.js';

/** What came of one model; a text in place of a figure says why there is none. */
export interface Checked {
  readonly opset: number;
  readonly host: 'yes' | string;
  readonly hostUs: number | null;
  readonly compiles: 'yes' | string;
  readonly arenaBytes: number | null;
  readonly flashBytes: number | null;
  readonly int8: Agreement | string;
  readonly counted: Count | string;
  readonly independent: Count | string;
}

export interface Tools {
  readonly device: Device;
  readonly runtime: SessionProcess;
  readonly sources: Sources;
  readonly signal: AbortSignal;
  readonly calibrating: number;
  /** Inputs that int8 and float are compared on. */
  readonly comparing: number;
}

const why = (thrown: unknown): string =>
  thrown instanceof HildaError ? `${thrown.code}: ${thrown.message}` : `CRASH: ${(thrown as Error).stack}`;

async function attempt<T>(make: () => T | Promise<T>): Promise<T | string> {
  try {
    return await make();
  } catch (thrown) {
    return why(thrown);
  }
}

const constant = ({ type, dims, data }: Given): Tensor => {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return { dtype: type as Tensor['dtype'], dims, data: new Uint8Array(buffer, byteOffset, byteLength) };
};

/** One file: as shipped on the host, counted twice, compiled for a board and compared with float. */
export async function checkModel(bytes: Uint8Array, entry: Entry, tools: Tools): Promise<Checked> {
  const read = readOnnx(bytes);
  const network = bindInputs(read, { shapes: entry.shapes ?? {} });
  const feeds = await plausibleFeeds(network, entry, tools.sources, tools.calibrating + tools.comparing);
  const first = feeds[0] as Record<string, Given>;
  const fed = new Map<string, Feed>(Object.entries(first).map(([name, value]) => [name, constant(value)]));
  const bound = bindInputs(read, { shapes: entry.shapes ?? {}, feeds: fed });
  const { device, signal } = tools;
  const measured = await attempt(async () => {
    checkNetworkLimits(bound);
    return device.measure(bound, loadProtocol('quick'), { signal });
  });
  const counted = await attempt((): Count => {
    const { macs, parameters, weightBytes } = countKnownCost(bound);
    return { macs: macs ?? undefined, parameters, weightBytes };
  });
  const independent = await attempt(() => independentCount(bytes, first));
  const compiled = await attempt(() => compileFor(network, feeds.slice(0, tools.calibrating), tools));
  const int8 =
    typeof compiled === 'string'
      ? 'not compiled'
      : await attempt(() => compare(bytes, compiled, feeds.slice(tools.calibrating), entry));
  return {
    opset: read.opset,
    host: typeof measured === 'string' ? measured : 'yes',
    hostUs: typeof measured === 'string' ? null : (measured.latency?.normalisedUs ?? null),
    compiles: typeof compiled === 'string' ? compiled : 'yes',
    arenaBytes: typeof compiled === 'string' ? null : compiled.arenaBytes,
    flashBytes: typeof compiled === 'string' ? null : compiled.flashBytes,
    int8,
    counted,
    independent,
  };
}

const compileFor = (
  network: Graph,
  calibration: readonly Record<string, Given>[],
  { runtime, signal }: Tools,
): Promise<CompiledNetwork> =>
  compile(network, {
    board: roomyBoard,
    weights: 'real',
    calibration: (graph, values, channels) =>
      valueRanges(graph, values, calibration as readonly RuntimeTensors[], runtime, { signal, channels }),
  });

async function compare(
  bytes: Uint8Array,
  compiled: CompiledNetwork,
  feeds: readonly Record<string, Given>[],
  entry: Entry,
): Promise<Agreement> {
  const oracle = await Oracle.load(bytes);
  const float: Record<string, Given>[] = [];
  for (const feed of feeds) float.push(await oracle.run(feed));
  await oracle.release();
  const inputs = feeds.map((feed) => {
    const tensors = Object.entries(feed).map(([name, value]) => [
      name,
      { dims: value.dims, data: Float32Array.from(numbers(value)) },
    ]);
    return allToBoard(Object.fromEntries(tensors), compiled.inputs);
  });
  const answers = await runExportedOn(compiled, inputs);
  return agreement(
    float,
    answers.map((answer) => allFromBoard(answer, compiled.outputs)),
    entry,
  );
}
