import type { DeviceId } from '../core/ids.js';
import type { StoredEvent } from './contract.js';
import { insertAll, type Write } from './database.js';
import { type DeviceRow, toDevice } from './devices.js';
import type { Claim, Claimed } from './job-contract.js';
import { jobEvent, ordinalOfJob, toJob } from './job-rows.js';
import { selectAll } from './jobs.js';
import { updateJobs } from './update-jobs.js';

/** Gives devices to jobs, see `JobStore.turnJobs`; with what is to be told of it. */
export async function claimAll(
  { db, all, nowMs }: Write,
  claims: readonly Claim[],
  ttlMs: number,
): Promise<{
  readonly claimed: Claimed[];
  readonly events: readonly Pick<StoredEvent, 'topic' | 'data'>[];
}> {
  if (claims.length === 0) return { claimed: [], events: [] };
  const bumped = await selectAll<DeviceRow>(
    claims.map(({ deviceId }) => deviceId),
    (some) =>
      all(
        `UPDATE devices SET last_token = last_token + 1 WHERE id IN (${some.map(() => '?').join(', ')}) RETURNING *`,
        some,
      ),
  );
  const devices = new Map(bumped.map((row) => [row.id, row]));
  const expiresMs = nowMs + ttlMs;
  // One that is held, and has not run out, stays as it is, and is not answered.
  const leased = await insertAll<{ readonly device_id: DeviceId }>(
    all,
    'leases',
    claims.flatMap(({ deviceId, holder }) => {
      const device = devices.get(deviceId);
      return device ? [{ device_id: deviceId, holder, token: device.last_token, expires_ms: expiresMs }] : [];
    }),
    `ON CONFLICT (device_id) DO UPDATE SET holder = excluded.holder, token = excluded.token,
     expires_ms = excluded.expires_ms WHERE leases.expires_ms <= excluded.expires_ms - ${ttlMs} RETURNING device_id`,
  );
  const free = new Set(leased.map((row) => row.device_id));
  const begun = await updateJobs(
    all,
    claims.flatMap(({ job, deviceId }) =>
      free.has(deviceId)
        ? [[ordinalOfJob(job) ?? 0, deviceId, devices.get(deviceId)?.last_token ?? 0, nowMs]]
        : [],
    ),
    ['device_id', 'token', 'started_ms'],
    `state = 'running', device_id = v.device_id, token = v.token, attempt = attempt + 1, started_ms = v.started_ms, ended_ms = NULL`,
    "jobs.state = 'queued'",
  );
  const rows = new Map(begun.map((row) => [row.ordinal, row]));
  const events: Pick<StoredEvent, 'topic' | 'data'>[] = [];
  const unused: DeviceId[] = [];
  const claimed = claims.map(({ job, deviceId, holder }): Claimed => {
    const device = devices.get(deviceId);
    if (!device || !free.has(deviceId)) return 'taken';
    const row = rows.get(ordinalOfJob(job) ?? 0);
    if (!row) {
      unused.push(deviceId);
      return 'closed';
    }
    events.push(jobEvent(row), { topic: 'devices', data: { type: 'leased', deviceId, holder } });
    const lease = { deviceId, holder, token: device.last_token, expiresMs };
    return { job: toJob(row), lease, device: toDevice(device) };
  });
  if (unused.length > 0) await db('leases').whereIn('device_id', unused).delete();
  return { claimed, events };
}
