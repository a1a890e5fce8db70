import { HildaError } from '../../../daemon/core/errors.js';
import {
  abi,
  ceilTo,
  code,
  headerBytes,
  magic,
  maxMembers,
  maxOperators,
  none,
  type RecordFields,
  recordBytes,
  reference,
  type WeightLayout,
  writeRecord,
} from '../layout/format.js';
import type { Lowered } from '../lower/operators.js';
import { viewBytes } from '../lower/operators.js';
import type { MemoryPlan } from '../plan/plan-memory.js';
import { type Schedule, type Step, type Task, tasksOf } from '../plan/schedule.js';
import { checkLimits } from './check-limits.js';
import { ConstantBlob, type ConstantStore, PooledConstants } from './constants.js';
import { type EncodeContext, encodeOperator, weightBytes } from './encode-operator.js';
import { generatedMembers } from './generated-tiles.js';

export interface EncodeOptions {
  readonly layout: WeightLayout;
  /** Weights drawn from a pool of so many bytes on the board, instead of the real ones. */
  readonly poolBytes: number | undefined;
  /** Whether the input is fetched in slices instead of written before the run. */
  readonly fetched: boolean;
}

/** A record's place in the network, for profiles. */
export interface RecordSource {
  readonly name: string;
  readonly kind: string;
}

export interface Encoded {
  readonly program: Uint8Array;
  readonly constantsBytes: number;
  readonly poolBytes: number;
  /** Constants with real weights among them, whichever the program holds. */
  readonly deployedConstantsBytes: number;
  /** By record. */
  readonly records: readonly RecordSource[];
  /** Record indices of the top-level operators, as the board's profile counts them. */
  readonly topLevel: readonly number[];
}

/** The bytes of a planned schedule (ABI.md). Throws NETWORK_TOO_LARGE beyond the format's limits. */
export function encodeProgram(
  schedule: Schedule,
  lowered: Lowered,
  plan: MemoryPlan,
  options: EncodeOptions,
): Encoded {
  const pooled = options.poolBytes === undefined ? undefined : new PooledConstants(options.poolBytes);
  const blob = pooled?.blob ?? new ConstantBlob();
  const constants: ConstantStore = pooled ?? blob;
  const offsetOf = (storage: number): number => plan.offsets.get(storage) as number;
  const context: EncodeContext = {
    constants,
    layout: options.layout,
    offsetOf,
    scratchOf: (task) => plan.scratch.get(task),
    tileOf: (task) => plan.tiles.get(task),
  };
  const records: RecordFields[] = [];
  const sources: RecordSource[] = [];
  const topLevel: number[] = [];
  const push = (fields: RecordFields, source: RecordSource): void => {
    records.push(fields);
    sources.push(source);
  };
  const pushTask = (task: Task): void => {
    const { name, body } = task.operator;
    const tile = plan.tiles.get(task);
    if (tile !== undefined) push(tileCopy(task, tile, context), { name, kind: 'weights' });
    push(encodeOperator(task, context), { name, kind: body.kind });
  };
  for (const step of schedule.steps) {
    topLevel.push(records.length);
    if (step.kind === 'single') {
      // A tile's copy is an operator of its own at top level.
      if (plan.tiles.has(step.task)) topLevel.push(records.length + 1);
      pushTask(step.task);
      continue;
    }
    const at = records.length;
    const name = groupName(step);
    push({ code: code.loop }, { name, kind: step.kind });
    if (step.kind === 'generated')
      for (const fields of generatedMembers(step.task, step.outputs, context))
        push(fields, { name, kind: step.kind });
    else for (const task of tasksOf(step)) pushTask(task);
    const members = records.length - at - 1;
    if (members > maxMembers)
      throw new HildaError(
        'INTERNAL',
        `a group of ${members} members was planned, at most ${maxMembers} can run`,
      );
    records[at] = groupRecord(step, members, at + 1, records);
  }
  if (records.length > maxOperators)
    throw new HildaError(
      'NETWORK_TOO_LARGE',
      `operators: ${records.length}, at most ${maxOperators} allowed`,
    );
  const constantBytes = blob.bytes();
  const constantsAt = ceilTo(headerBytes + recordBytes * records.length, 16);
  const program = new Uint8Array(constantsAt + constantBytes.length);
  const view = new DataView(program.buffer);
  const { input, output } = lowered;
  const header = [
    magic,
    abi | (recordBytes << 16),
    program.length,
    records.length,
    constantsAt,
    constantBytes.length,
    plan.arenaBytes,
    pooled?.usedBytes ?? 0,
    options.fetched ? none : offsetOf(input.view.storage) + input.view.offset,
    viewBytes(input.view),
    offsetOf(output.view.storage) + output.view.offset,
    viewBytes(output.view),
  ];
  header.forEach((value, i) => {
    view.setUint32(4 * i, value, true);
  });
  records.forEach((fields, i) => {
    checkLimits(fields, sources[i]?.name ?? `${i}`);
    writeRecord(view, headerBytes + recordBytes * i, fields);
  });
  program.set(constantBytes, constantsAt);
  return {
    program,
    constantsBytes: constantBytes.length,
    poolBytes: pooled?.usedBytes ?? 0,
    deployedConstantsBytes: (pooled?.deployed ?? blob).size,
    records: sources,
    topLevel,
  };
}

const groupName = (step: Exclude<Step, { kind: 'single' }>): string => {
  const tasks = tasksOf(step);
  return `${tasks[0]?.operator.name} .. ${tasks.at(-1)?.operator.name}`;
};

function groupRecord(
  step: Exclude<Step, { kind: 'single' }>,
  members: number,
  first: number,
  records: readonly RecordFields[],
): RecordFields {
  if (step.kind === 'generated')
    return { code: code.loop, count: members, rows: { rows: channelsOf(step.task) / step.outputs } };
  if (step.kind === 'loop')
    return { code: code.loop, count: members, rows: { rows: step.iterations, k: step.partialRows } };
  // Copies of weights stand among the producers.
  const windowed = records.findIndex(
    (record, i) => i >= first && record.count !== undefined && record.count > 0,
  );
  return {
    code: code.window,
    count: members,
    window: {
      inHeight: 0,
      inWidth: 0,
      inChannels: 0,
      outHeight: step.rows,
      outWidth: 0,
      outChannels: 0,
      kernel: [windowed - first, 0],
      stride: [0, 0],
      dilation: [0, 0],
      padTop: 0,
      padLeft: 0,
    },
  };
}

const channelsOf = ({ operator: { body } }: Task): number =>
  body.kind === 'linear' ? body.constants.outputs : 0;

/** Brings a task's weights to its tile. */
function tileCopy(
  { operator: { body } }: Task,
  tile: number,
  { constants, layout }: EncodeContext,
): RecordFields {
  if (body.kind !== 'linear' && body.kind !== 'conv' && body.kind !== 'depthwise')
    throw new HildaError('INTERNAL', `${body.kind} has no weights to copy`);
  const bytes = weightBytes(body.constants, body.kind === 'depthwise' ? 'channels' : 'packed', layout);
  return {
    code: code.copy,
    in: constants.place(bytes, true),
    inStride: bytes.length,
    out: reference('arena', tile),
    outStride: bytes.length,
    rows: { rows: 1, n: bytes.length },
  };
}
