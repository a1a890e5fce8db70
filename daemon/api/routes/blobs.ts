import { blobSchema } from '../input-schemas.js';
import { defineRoute } from '../route.js';

/** Larger sets go in pieces, so that no request fills the memory of a daemon on a small host. */
export const maxBlobBytes = 64 * 1024 * 1024;

export const blobRoutes = [
  defineRoute({
    method: 'post',
    path: '/blobs',
    summary: 'Upload what inputs hold, or a piece of calibration data; the same bytes get the same id',
    body: { maxBytes: maxBlobBytes },
    answer: { status: 201, schema: blobSchema },
    handle: async ({ services, body }) => ({
      sha256: await services.blobs.put(body),
      bytes: body.byteLength,
    }),
  }),
];
