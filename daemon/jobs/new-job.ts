import { HildaError, toErrorDocument } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import { canonicalJson, type Json } from '../core/json.js';
import type { NewJob } from '../store/job-contract.js';
import { type JobRequest, shareOf } from './job.js';

/** What is stored of a request. */
export function rowOf(request: JobRequest): NewJob {
  const { owner, priority = 0, maxAttempts = 1, attached = false, idempotencyKey = null } = request;
  const asked = {
    work: request.work as unknown as Json,
    network: (request.network ?? null) as Json,
    inputs: (request.inputs ?? null) as Json,
    devices: request.devices as unknown as Json,
  };
  // Left out where they say nothing, as in hashes of before.
  const hashed = {
    ...asked,
    ...(priority !== 0 && { priority }),
    ...(request.runAtMs != null && { runAtMs: request.runAtMs }),
    ...(request.deadlineMs != null && { deadlineMs: request.deadlineMs }),
  };
  return {
    ...asked,
    priority,
    share: shareOf(owner),
    owner: owner as unknown as Json,
    attached,
    runAtMs: request.runAtMs ?? null,
    deadlineMs: request.deadlineMs ?? null,
    maxAttempts,
    idempotencyKey,
    requestHash: idempotencyKey === null ? null : sha256Hex(canonicalJson(hashed)),
  };
}

const document = (message: string): Json =>
  toErrorDocument(new HildaError('INTERRUPTED', message)) as unknown as Json;

/** Why jobs ended that did not run to their end, as stored. */
export const endedBy = {
  cancel: document('the job was cancelled'),
  leaving: document('the daemon ended, and the owner of the job asks for it again'),
  daemon: document('the daemon ended each time that the job ran'),
} as const;
