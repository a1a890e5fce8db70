import { HildaError } from '../../core/errors.js';
import { cpuList, readCpuList, readSysfs, sysfsCount } from './sysfs.js';

/** Cores of one kind: they share a frequency policy, or have one capacity and one highest clock. */
export interface Cluster {
  readonly cores: readonly number[];
  /** The kernel's measure of what a core computes, 1024 for the fastest; null where it does not say. */
  readonly capacity: number | null;
  readonly maxKhz: number | null;
}

export interface Topology {
  /** Slowest first. Empty where the phone tells nothing. */
  readonly clusters: readonly Cluster[];
  readonly online: readonly number[];
}

/** Cores that a person chose, and the mask that `taskset` takes for them. */
export interface CoreChoice {
  /** As it was asked for, e.g. `big` or `4-6`. */
  readonly asked: string;
  readonly cores: readonly number[];
  readonly mask: string;
}

const cpu = '/sys/devices/system/cpu';

export const topologyCommand = [
  'grep -sH .',
  `${cpu}/online ${cpu}/possible`,
  `${cpu}/cpu[0-9]*/cpu_capacity`,
  `${cpu}/cpu[0-9]*/cpufreq/cpuinfo_max_freq`,
  `${cpu}/cpu[0-9]*/cpufreq/related_cpus`,
  `${cpu}/cpu[0-9]*/topology/core_siblings_list`,
  '2>/dev/null; true',
].join(' ');

export function readTopology(text: string): Topology {
  const values = readSysfs(text);
  const named = [...values.keys()].flatMap((path) => {
    const [, index] = /\/cpu(\d+)\//.exec(path) ?? [];
    return index === undefined ? [] : [Number(index)];
  });
  const online = readCpuList(values.get(`${cpu}/online`) ?? '');
  const all = [...new Set([...(online ?? []), ...named])].sort((a, b) => a - b);
  const kinds = new Map<string, Cluster & { cores: number[] }>();
  for (const core of all) {
    const capacity = sysfsCount(values, `${cpu}/cpu${core}/cpu_capacity`);
    const maxKhz = sysfsCount(values, `${cpu}/cpu${core}/cpufreq/cpuinfo_max_freq`);
    const own = capacity === null && maxKhz === null ? siblings(values, core) : '';
    const key = `${capacity} ${maxKhz} ${own}`;
    const kind = kinds.get(key);
    if (kind) kind.cores.push(core);
    else kinds.set(key, { cores: [core], capacity, maxKhz });
  }
  const clusters = [...kinds.values()].sort(
    (a, b) => (a.capacity ?? 0) - (b.capacity ?? 0) || (a.maxKhz ?? 0) - (b.maxKhz ?? 0),
  );
  return { clusters, online: online ?? all };
}

/** A core that is offline has neither capacity nor clock; its siblings say where it belongs at least. */
const siblings = (values: ReadonlyMap<string, string>, core: number): string =>
  values.get(`${cpu}/cpu${core}/cpufreq/related_cpus`) ??
  values.get(`${cpu}/cpu${core}/topology/core_siblings_list`) ??
  '';

/** Names of the choices that a topology offers beside lists of cores. */
export const namedChoices = ({ clusters }: Topology): string[] => [
  'all',
  ...(clusters.length > 1 ? ['little', 'big'] : []),
  ...(clusters.length > 2 ? ['prime'] : []),
];

/**
 * Cores by name or list. `little` is the slowest kind, `prime` the fastest of three or more, `big` what lies between them
 * or the faster of two. Throws SPEC_INVALID for what this phone does not have, and for cores that are offline.
 */
export function chooseCores(asked: string, topology: Topology): CoreChoice {
  const { clusters, online } = topology;
  const refuse = (why: string): never => {
    throw new HildaError('SPEC_INVALID', `cores "${asked}": ${why}`, {
      hint: `This phone offers ${namedChoices(topology).join(', ')}, or a list of ${cpuList(online) || 'cores'}.`,
    });
  };
  const named = new Map<string, readonly Cluster[]>([
    ['all', clusters],
    ...(clusters.length > 1 ? ([['little', clusters.slice(0, 1)]] as const) : []),
    ...(clusters.length > 1
      ? ([['big', clusters.length === 2 ? clusters.slice(1) : clusters.slice(1, -1)]] as const)
      : []),
    ...(clusters.length > 2 ? ([['prime', clusters.slice(-1)]] as const) : []),
  ]);
  const kind = named.get(asked);
  const listed = kind ? kind.flatMap(({ cores }) => cores) : readCpuList(asked);
  if (listed === null || listed.length === 0)
    return refuse(
      clusters.length > 0 && /^[a-z]+$/.test(asked)
        ? `the phone has ${clusters.length} kind${clusters.length === 1 ? '' : 's'} of cores`
        : 'no such cores are known',
    );
  const cores = kind ? listed.filter((core) => online.includes(core)) : listed;
  const away = cores.filter((core) => !online.includes(core));
  if (away.length > 0) return refuse(`core ${cpuList(away)} is offline or does not exist`);
  if (cores.length === 0) return refuse(`all of them (${cpuList(listed)}) are offline`);
  return { asked, cores, mask: maskOf(cores) };
}

/** Hexadecimal, without 0x, as taskset of Android (toybox) takes it. */
const maskOf = (cores: readonly number[]): string =>
  cores.reduce((mask, core) => mask | (1n << BigInt(core)), 0n).toString(16);

/** What the target's tier says: other cores are another target. */
export const coresTier = ({ asked, cores }: CoreChoice): string =>
  /^\d/.test(asked) ? `native, cores ${cpuList(cores)}` : `native, ${asked} cores ${cpuList(cores)}`;

export const describeTopology = ({ clusters, online }: Topology): string =>
  clusters
    .map(({ cores, maxKhz, capacity }) =>
      [
        cpuList(cores),
        maxKhz === null ? '' : ` to ${(maxKhz / 1e6).toFixed(2)} GHz`,
        capacity === null ? '' : ` (capacity ${capacity})`,
        cores.every((core) => online.includes(core)) ? '' : ', partly offline',
      ].join(''),
    )
    .join('; ');
