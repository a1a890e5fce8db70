import { type Lowered, type Operator, type View, viewBytes } from '../lower/operators.js';

/** Operators on rows, which may leave gaps between the rows they write. */
const onRows = new Set(['linear', 'lookup', 'add', 'mul', 'softmax', 'layerNorm', 'copy']);

/**
 * Joined values written straight into their slices of the result: the copies of a Concat go away where the one who makes a
 * part can write it there. The result then lives from its first part on; the caller decides whether that is worth it.
 */
export function writeIntoSlices(lowered: Lowered, results: ReadonlySet<number>): Lowered {
  const bytes = new Map(lowered.storages.map((storage) => [storage.id, storage.bytes]));
  const ends = [lowered.input.view.storage, lowered.output.view.storage];
  let operators = lowered.operators;
  for (let i = 0; i < operators.length; ) {
    const copy = operators[i] as Operator;
    const part = copy.reads[0]?.view;
    const joins = copy.body.kind === 'copy' && !copy.loop && results.has(copy.write.storage);
    const whole = joins && part && isDense(part) && viewBytes(part) === bytes.get(part.storage);
    const moved = whole && !ends.includes(part.storage) ? withoutCopy(operators, i, part) : undefined;
    if (moved) operators = moved;
    else i++;
  }
  return operators.length < lowered.operators.length ? { ...lowered, operators } : lowered;
}

/** The storages that copies fill: those a Concat makes. */
export const joinedStorages = ({ operators }: Lowered): readonly number[] => [
  ...new Set(
    operators.flatMap(({ body, write, loop }) => (body.kind === 'copy' && !loop ? [write.storage] : [])),
  ),
];

const isDense = ({ batch, rows, rowStride, width }: View): boolean =>
  batch === 1 && (rows === 1 || rowStride === width);

/** The operators without the copy of a part, those before it writing to its slice; undefined where one cannot. */
function withoutCopy(
  operators: readonly Operator[],
  at: number,
  part: View,
): readonly Operator[] | undefined {
  const { write } = operators[at] as Operator;
  if (write.batch !== 1) return undefined;
  const others = operators.toSpliced(at, 1).map((operator) => redirected(operator, part, write));
  return others.every((operator) => operator !== null) ? (others as Operator[]) : undefined;
}

/** The operator with what it writes to the part moved to the slice; null where it cannot be. */
function redirected(operator: Operator, part: View, slice: View): Operator | null {
  const reads = operator.reads.some(({ view }) => view.storage === part.storage);
  if (operator.write.storage !== part.storage && !reads) return operator;
  // Any other operator that reads the part would have to walk it with gaps; a loop's steps are those of its own storage.
  if (reads || operator.loop) return null;
  const { write, body } = operator;
  if (slice.rows === 1 || slice.rowStride === slice.width)
    return { ...operator, write: { ...write, storage: slice.storage, offset: write.offset + slice.offset } };
  const channels = part.width;
  if (part.rowStride !== channels || write.batch !== 1) return null;
  const offset =
    slice.offset + Math.floor(write.offset / channels) * slice.rowStride + (write.offset % channels);
  const to = { ...write, storage: slice.storage, offset };
  if ('window' in body) {
    const { window } = body;
    if (window.outStride !== channels || write.rowStride !== window.outWidth * channels) return null;
    const rowStride = window.outWidth * slice.rowStride;
    const width = (window.outWidth - 1) * slice.rowStride + window.outChannels;
    return {
      ...operator,
      body: { ...body, window: { ...window, outStride: slice.rowStride } },
      write: { ...to, rowStride, width },
    };
  }
  if (!onRows.has(body.kind) || write.width > channels || (write.rows > 1 && write.rowStride !== channels))
    return null;
  return { ...operator, write: { ...to, rowStride: slice.rowStride } };
}
