import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Lease, Store } from './contract.js';
import type { Database, Write } from './database.js';
import { requireDevice } from './devices.js';

interface LeaseRow {
  readonly device_id: DeviceId;
  readonly holder: string;
  readonly token: number;
  readonly expires_ms: number;
}

type LeaseStore = Pick<
  Store,
  'acquireLease' | 'renewLease' | 'releaseLease' | 'expireLeases' | 'freeExpired' | 'leases'
>;

/** A lease lives while `now < expiresMs`. One that ran out is stale even before another job took the device. */
export function leaseStore(database: Database): LeaseStore {
  return {
    acquireLease: (deviceId, holder, ttlMs) =>
      database.write(async ({ db, nowMs, publish }) => {
        const { last_token } = await requireDevice(db, deviceId);
        const present = await leaseOf(db, deviceId);
        const expiresMs = nowMs + ttlMs;
        if (present && present.expires_ms > nowMs) {
          if (present.holder !== holder) return undefined;
          await db('leases').where({ device_id: deviceId }).update({ expires_ms: expiresMs });
          return { deviceId, holder, token: present.token, expiresMs };
        }
        const token = last_token + 1;
        await db('devices').where({ id: deviceId }).update({ last_token: token });
        await db('leases').where({ device_id: deviceId }).delete();
        await db('leases').insert({ device_id: deviceId, holder, token, expires_ms: expiresMs });
        await publish('devices', { type: 'leased', deviceId, holder });
        return { deviceId, holder, token, expiresMs };
      }),

    renewLease: (lease, ttlMs) =>
      database.write(async (write) => {
        await assertLive(write, lease);
        const expiresMs = write.nowMs + ttlMs;
        await write.db('leases').where({ device_id: lease.deviceId }).update({ expires_ms: expiresMs });
        return { ...lease, expiresMs };
      }),

    /** Of a stale lease: nothing left to free, so nothing happens. */
    releaseLease: ({ deviceId, token }) =>
      database.write(async ({ db, publish }) => {
        const freed = await db('leases').where({ device_id: deviceId, token }).delete();
        if (freed > 0) await publish('devices', { type: 'freed', deviceId });
      }),

    expireLeases: (holderPrefix) =>
      database.write(async ({ db, nowMs, publish }) => {
        const rows: LeaseRow[] = await db('leases').orderBy('device_id');
        const gone = rows.filter(
          (row) =>
            row.expires_ms <= nowMs || (holderPrefix !== undefined && row.holder.startsWith(holderPrefix)),
        );
        for (const { device_id: deviceId } of gone) {
          await db('leases').where({ device_id: deviceId }).delete();
          await publish('devices', { type: 'freed', deviceId });
        }
        return gone.length;
      }),

    freeExpired: (holderPrefix) =>
      database.write(async ({ db, nowMs, publishAll }) => {
        const gone: LeaseRow[] = await db('leases')
          .whereRaw('substr(holder, 1, ?) = ?', [holderPrefix.length, holderPrefix])
          .where('expires_ms', '<=', nowMs)
          .orderBy('device_id');
        const ids = gone.map(({ device_id: id }) => id);
        if (ids.length > 0) await db('leases').whereIn('device_id', ids).delete();
        await publishAll(ids.map((deviceId) => ({ topic: 'devices', data: { type: 'freed', deviceId } })));
        return ids;
      }),

    leases: async () => {
      const nowMs = database.clock.nowMs();
      const rows = await database.read<LeaseRow[]>((db) =>
        db('leases').where('expires_ms', '>', nowMs).orderBy('device_id'),
      );
      return rows.map(toLease);
    },
  };
}

/** Fences a write: throws LEASE_STALE unless the lease is the device's present one and has not run out. */
export async function assertLive({ db, nowMs }: Write, lease: Lease): Promise<void> {
  const present = await leaseOf(db, lease.deviceId);
  if (
    present &&
    present.token === lease.token &&
    present.holder === lease.holder &&
    present.expires_ms > nowMs
  )
    return;
  throw new HildaError('LEASE_STALE', `lease ${lease.token} of ${lease.deviceId} is no longer valid`, {
    details: { deviceId: lease.deviceId, token: lease.token },
  });
}

const leaseOf = (db: Knex, deviceId: DeviceId): PromiseLike<LeaseRow | undefined> =>
  db('leases').where({ device_id: deviceId }).first();

const toLease = ({ device_id, holder, token, expires_ms }: LeaseRow): Lease => ({
  deviceId: device_id,
  holder,
  token,
  expiresMs: expires_ms,
});
