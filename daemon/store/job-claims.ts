import type { DeviceId } from '../core/ids.js';
import type { StoredEvent } from './contract.js';
import type { Write } from './database.js';
import { type DeviceRow, toDevice } from './devices.js';
import type { Claim, Claimed } from './job-contract.js';
import { jobEvent, ordinalOfJob, toJob } from './job-rows.js';
import { fromJsonText } from './json-columns.js';
import { updateJobs } from './update-jobs.js';

export interface ClaimOptions {
  readonly ttlMs: number;
  /** Tokens by device of leases whose work has just ended: their devices can be claimed. */
  readonly held: ReadonlyMap<DeviceId, number>;
}

/** Gives devices to jobs, see `JobStore.turnJobs`; with what is to be told of it. */
export async function claimAll(
  { db, all, nowMs }: Write,
  claims: readonly Claim[],
  options: ClaimOptions,
): Promise<{
  readonly claimed: Claimed[];
  readonly events: readonly Pick<StoredEvent, 'topic' | 'data'>[];
}> {
  if (claims.length === 0) return { claimed: [], events: [] };
  const expiresMs = nowMs + options.ttlMs;
  const leased = await grantLeases(all, claims, { ...options, nowMs });
  const begun = await updateJobs(
    all,
    claims.flatMap(({ job, deviceId }) => {
      const lease = leased.get(deviceId);
      return lease ? [[ordinalOfJob(job) ?? 0, deviceId, lease.token, nowMs]] : [];
    }),
    ['device_id', 'token', 'started_ms'],
    `state = 'running', device_id = v.device_id, token = v.token, attempt = attempt + 1, started_ms = v.started_ms, ended_ms = NULL`,
    "jobs.state = 'queued'",
  );
  const rows = new Map(begun.map((row) => [row.ordinal, row]));
  const events: Pick<StoredEvent, 'topic' | 'data'>[] = [];
  const unused: DeviceId[] = [];
  const claimed = claims.map(({ job, deviceId, holder }): Claimed => {
    const granted = leased.get(deviceId);
    if (!granted) return 'taken';
    const row = rows.get(ordinalOfJob(job) ?? 0);
    if (!row) {
      unused.push(deviceId);
      return 'closed';
    }
    events.push(jobEvent(row), { topic: 'devices', data: { type: 'leased', deviceId, holder } });
    const lease = { deviceId, holder, token: granted.token, expiresMs };
    return { job: toJob(row), lease, device: toDevice(granted.device) };
  });
  if (unused.length > 0) await db('leases').whereIn('device_id', unused).delete();
  return { claimed, events };
}

interface Granted {
  readonly token: number;
  readonly device: DeviceRow;
}

/** So many in one statement, each with four values. */
const most = 500;

/** The columns of a device that its record is made from. */
const deviceColumns = [
  'id',
  'kind',
  'label',
  'target',
  'host',
  'state',
  'state_reason',
  'tags',
  'first_seen_ms',
  'last_seen_ms',
  'quarantine',
] as const satisfies readonly (keyof DeviceRow)[];
const deviceJson = `json_object(${deviceColumns.map((column) => `'${column}', ${column}`).join(', ')})`;

/** Leases with a token that the device never had; a trigger notes it. A device that is held stays as it is, and is left out. */
async function grantLeases(
  all: Write['all'],
  claims: readonly Claim[],
  { ttlMs, held, nowMs }: ClaimOptions & { readonly nowMs: number },
): Promise<ReadonlyMap<DeviceId, Granted>> {
  const granted = new Map<DeviceId, Granted>();
  for (let from = 0; from < claims.length; from += most) {
    const some = claims.slice(from, from + most);
    const ended = some.flatMap(({ deviceId }) => {
      const token = held.get(deviceId);
      return token === undefined ? [] : [[deviceId, token]];
    });
    const rows = await all<{ device_id: DeviceId; token: number; device: string }>(
      `WITH v(device_id, holder) AS (VALUES ${pairs(some)})
       INSERT INTO leases (device_id, holder, token, expires_ms)
       SELECT v.device_id, v.holder, devices.last_token + 1, ? FROM v JOIN devices ON devices.id = v.device_id WHERE true
       ON CONFLICT (device_id) DO UPDATE SET holder = excluded.holder, token = excluded.token, expires_ms = excluded.expires_ms
       WHERE leases.expires_ms <= ?${
         ended.length > 0 ? ` OR (leases.device_id, leases.token) IN (VALUES ${pairs(ended)})` : ''
       }
       RETURNING device_id, token, (SELECT ${deviceJson} FROM devices WHERE id = device_id) AS device`,
      [...some.flatMap(({ deviceId, holder }) => [deviceId, holder]), nowMs + ttlMs, nowMs, ...ended.flat()],
    );
    for (const { device_id: id, token, device } of rows)
      granted.set(id, { token, device: fromJsonText(device, `the device ${id}`) });
  }
  return granted;
}

const pairs = (list: readonly unknown[]): string => list.map(() => '(?, ?)').join(', ');
