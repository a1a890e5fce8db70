import type { DeviceId } from '../core/ids.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { DeviceRecord, Lease } from '../store/contract.js';
import type { Entry } from './entry.js';
import type { Runner } from './runner.js';
import { fits, formatSelector, isMeant } from './selector.js';

export interface Circumstances {
  readonly runner: Runner;
  readonly pool: Pick<DevicePool, 'presence'>;
  readonly leases: readonly Lease[];
  readonly nowMs: number;
}

/** The one explanation of why a queued job does not run. */
export function whyWaiting(entry: Entry, { runner, pool, leases, nowMs }: Circumstances): string {
  const { record, job, named, excluded } = entry;
  const { stations, schedule } = runner.dispatcher;
  if (record.runAtMs !== null && record.runAtMs > nowMs)
    return `it is not to begin before ${new Date(record.runAtMs).toISOString()}`;
  const meant = named
    ? named.flatMap((id) => stations.record(id) ?? [])
    : stations.all().filter((one) => isMeant(job.devices, one));
  const name = formatSelector(job.devices);
  const tried = meant.filter(({ id }) => !excluded.has(id));
  const possible = entry.waitsForRelease ? tried.filter(({ state }) => state !== 'quarantined') : tried;
  if (possible.length === 0) {
    const others = named ? tried : stations.all().filter((one) => fits(job.devices, one));
    const why = others.filter(({ state }) => state === 'quarantined').map(quarantineOf);
    if (why.length > 0) return why.slice(0, 3).join('; ');
    return `no device of ${name} is left to try`;
  }
  const here = possible.filter(({ id }) => named?.length === 1 || pool.presence(id).present);
  if (here.length === 0)
    return `no device of ${name} is there: ${possible.map(({ id }) => id).join(', ')} are away`;
  const user = (device: DeviceRecord): string | undefined => userOf(device, runner, leases);
  const busy = here.map(user);
  const ahead = schedule.ahead(entry);
  const others = ahead === 1 ? '1 job goes before it' : ahead > 1 ? `${ahead} jobs go before it` : '';
  const held = busy.every((one) => one !== undefined) ? busy.slice(0, 3).join('; ') : '';
  return [held, others].filter((part) => part !== '').join('; ') || 'it is about to begin';
}

const quarantineOf = ({ id, reason }: DeviceRecord): string =>
  `${id} is in quarantine${reason === null ? '' : ` (${reason})`}; \`hilda devices release ${id}\` takes it back`;

/** Who uses the device, or the host that it shares. */
function userOf(device: DeviceRecord, runner: Runner, leases: readonly Lease[]): string | undefined {
  const { running } = runner;
  const { stations } = runner.dispatcher;
  const runs = (id: DeviceId): string | undefined => {
    const entry = running.get(id);
    return entry && `${id} runs ${entry.record.id} of ${entry.record.share}`;
  };
  const own = runs(device.id);
  if (own) return own;
  const lease = leases.find(({ deviceId }) => deviceId === device.id);
  if (lease) return `${device.id} is held by ${lease.holder}`;
  const key = stations.keyOf(device.id);
  for (const { id } of key === undefined ? [] : stations.devices(key)) {
    const other = runs(id);
    if (other) return `${device.id} shares the processors of ${device.host}, where ${other}`;
  }
  return undefined;
}
