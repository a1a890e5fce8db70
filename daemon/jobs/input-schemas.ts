import { z } from 'zod';
import { namedRecord } from '../core/named-record.js';

/** How a request fixes a model's open dimensions, and what it says of the inputs. */

const size = z.int().min(1);
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hexadecimal');

export const blobSchema = z
  .object({ sha256: z.string(), bytes: z.int() })
  .meta({ id: 'Blob', description: 'Uploaded bytes, by their SHA-256.' });

const inputSchema = z
  .union([
    z.number().describe('Every element.'),
    z.boolean().describe('Every element.'),
    z.string().max(10_000).describe('Every element, of an input that holds text.'),
    z
      .strictObject({ range: z.tuple([z.number(), z.number()]) })
      .refine(({ range: [low, high] }) => low <= high, 'the lower end must stand first')
      .describe('Drawn uniformly; whole numbers include both ends.'),
    z.strictObject({ values: z.array(z.number()).max(100_000) }).describe('Row-major.'),
    z
      .strictObject({ blob: sha256, format: z.enum(['npy', 'raw']) })
      .describe("Bytes of POST /v1/blobs; raw: elements of the input's type, little endian."),
  ])
  .meta({ id: 'InputValues' });

/** Fields that every request with a model takes. */
export const bindingFields = {
  dims: namedRecord(size)
    .optional()
    .describe('Sizes of open dimensions by their names. An open batch that nothing fixes is 1.'),
  shapes: namedRecord(z.array(size).max(16)).optional().describe('Shapes of inputs, by name.'),
  inputs: namedRecord(inputSchema)
    .optional()
    .describe('What inputs hold, by name; others hold floats drawn from -1 to 1, zeros, empty text.'),
};

const bindingsSchema = z.object(bindingFields);

export type BindingsRequest = z.input<typeof bindingsSchema>;

export type InputRequest = z.input<typeof inputSchema>;
