import { bytesOf } from '../../jobs/bound-network.js';
import { blobSchema } from '../../jobs/input-schemas.js';
import { Answer, defineRoute, octets } from '../route.js';

/** Larger sets go in pieces, so that no request fills the memory of a daemon on a small host. */
const maxBlobBytes = 64 * 1024 * 1024;

export const blobRoutes = [
  defineRoute({
    method: 'post',
    path: '/blobs',
    summary:
      'Upload what inputs hold, or a piece of calibration data; the same bytes get the same id, for a day from the last use',
    body: { maxBytes: maxBlobBytes },
    answer: { status: 201, schema: blobSchema, location: true },
    handle: async ({ services, body }) => {
      const sha256 = await services.uploads.put(body);
      return new Answer({ sha256, bytes: body.byteLength }, { location: `/v1/blobs/${sha256}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/blobs/{sha256}',
    summary: 'The bytes of an upload',
    answer: { status: 200, schema: octets, immutable: true },
    handle: async ({ services, params }) =>
      new Answer(await bytesOf(params.sha256, 'blob', services), { type: octets }),
  }),
];
