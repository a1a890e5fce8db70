import type { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { readModelFile } from '../../network/read-model-file.js';
import type { Space } from './contract.js';
import { einspaceSpace } from './einspace/einspace.js';
import { einspaceFileSchema } from './einspace/file.js';
import { mbconvFileSchema } from './mbconv/file.js';
import { mbconvSpace } from './mbconv/mbconv.js';
import { cellFileSchema, cellSpace } from './nasbench/cell.js';
import { ofaFileSchema } from './ofa/file.js';
import { ofaSpace } from './ofa/ofa.js';
import { ascanFileSchema, ascanSpace } from './papers/ascan.js';
import { flexibertFileSchema, flexibertSpace } from './papers/flexibert.js';
import { hourglassFileSchema, hourglassSpace } from './papers/hourglass.js';
import { type InstatuneFile, instatuneFileSchema, instatuneSpace } from './papers/instatune.js';
import { lowformerFileSchema, lowformerSpace } from './papers/lowformer.js';
import { yforkFileSchema, yforkSpace } from './papers/yfork.js';
import { attentionFileSchema, attentionSpace } from './parts/attention.js';
import { recurrenceFileSchema, recurrenceSpace } from './parts/recurrence.js';
import { quantisedFileSchema, quantisedSpace } from './quantised.js';
import { vitFileSchema } from './vit/file.js';
import { vitSpace } from './vit/vit.js';

/** The bytes of the network that a space file names. */
export type ReadNetwork = (file: InstatuneFile) => Uint8Array;

/** One line a kind of space: its file's schema and what makes the space of it. */
const kinds: Readonly<Record<string, (file: unknown, read: ReadNetwork) => Space>> = {
  mbconv: (file) => mbconvSpace(checked(mbconvFileSchema, file)),
  vit: (file) => vitSpace(checked(vitFileSchema, file)),
  ascan: (file) => ascanSpace(checked(ascanFileSchema, file)),
  attention: (file) => attentionSpace(checked(attentionFileSchema, file)),
  cell: (file) => cellSpace(checked(cellFileSchema, file)),
  einspace: (file) => einspaceSpace(checked(einspaceFileSchema, file)),
  flexibert: (file) => flexibertSpace(checked(flexibertFileSchema, file)),
  hourglass: (file) => hourglassSpace(checked(hourglassFileSchema, file)),
  instatune: (file, read) => {
    const named = checked(instatuneFileSchema, file);
    return instatuneSpace(named.id, readModelFile(read(named)));
  },
  lowformer: (file) => lowformerSpace(checked(lowformerFileSchema, file)),
  ofa: (file) => ofaSpace(checked(ofaFileSchema, file)),
  quantised: (file) => quantisedSpace(checked(quantisedFileSchema, file)),
  recurrence: (file) => recurrenceSpace(checked(recurrenceFileSchema, file)),
  yfork: (file) => yforkSpace(checked(yforkFileSchema, file)),
};

export const spaceKinds: readonly string[] = Object.keys(kinds);

/** A kind of space beside those above. */
export interface SpacePlugin {
  readonly kind: string;
  /** Throws SPACE_INVALID, PLUGIN_FAILED. */
  create(file: unknown): Space;
}

/** A space from its file's content. Throws SPACE_INVALID naming every wrong field by its path. */
export function loadSpace(
  file: unknown,
  read: ReadNetwork = noNetworks,
  others: readonly SpacePlugin[] = [],
): Space {
  const kind = typeof file === 'object' && file !== null && 'kind' in file ? file.kind : undefined;
  const make = typeof kind === 'string' && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (make) return make(file, read);
  const other = others.find((one) => one.kind === kind);
  if (other) return other.create(file);
  throw new HildaError('SPACE_INVALID', `kind: there is no kind of space ${JSON.stringify(kind)}`, {
    hint: `Known kinds: ${[...spaceKinds, ...others.map((one) => one.kind)].join(', ')}. Plug-ins bring others: docs/library.md.`,
  });
}

function noNetworks({ id }: InstatuneFile): never {
  throw new HildaError('SPACE_INVALID', `the space ${id} names a network, which cannot be read here`);
}

function checked<T>(schema: z.ZodType<T>, file: unknown): T {
  const parsed = schema.safeParse(file);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`);
  throw new HildaError('SPACE_INVALID', `the space file is not valid: ${fields.join('; ')}`, {
    details: { fields },
  });
}
