import { asHildaError } from '../../core/errors.js';
import type { AdbServer } from './adb-server.js';
import { describeTopology, namedChoices, readTopology, topologyCommand } from './cores.js';
import { obstacleOf } from './obstacles.js';
import { parsePhoneState, phoneStateCommand } from './phone-state.js';

export interface PhoneFinding {
  readonly level: 'ok' | 'advice' | 'fault';
  readonly what: string;
  /** What follows and what to do; empty when nothing does. */
  readonly remedy: string;
}

const folder = '/data/local/tmp';
const trial = `${folder}/.hilda-try`;
const governor = '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor';
const bytesAdvised = 200 * 2 ** 20;
const bytesNeeded = 20 * 2 ** 20;
/** Percent of one core. */
const heavyPercent = 20;

const parts: Readonly<Record<string, string>> = {
  id: 'id',
  su: 'command -v su',
  taskset: 'command -v taskset',
  selinux: 'getenforce',
  abis: 'getprop ro.product.cpu.abilist',
  android: 'getprop ro.build.version.release',
  governor: `cat ${governor}; [ -w ${governor} ] && echo writable`,
  space: `df -k ${folder}`,
  mounts: 'cat /proc/mounts',
  // A shell under another name in that folder: whether programs may be put there and started.
  exec: `cp /system/bin/sh ${trial} && chmod 755 ${trial} && ${trial} -c 'exit 42'; echo code $?; rm -f ${trial}`,
  airplane: 'settings get global airplane_mode_on',
  saver: 'settings get global low_power',
  busy: 'top -b -q -n 1 -m 5 -o %CPU,NAME',
};

/** The commands whose outputs `judgePreflight` reads, each behind a line with its name. */
const preflightCommand = Object.entries(parts)
  .map(([name, command]) => `echo '@@${name}'; { ${command}; } 2>&1`)
  .join('; ');

/** What a phone allows and what follows from it. Changes nothing but a file that it removes again. */
function judgePreflight(text: string): PhoneFinding[] {
  const said = sections(text);
  const has = (name: string): string => said.get(name) ?? '';
  const findings: PhoneFinding[] = [];
  const add = (level: PhoneFinding['level'], what: string, remedy = ''): void =>
    void findings.push({ level, what, remedy });
  add('ok', `Android ${has('android') || 'of an unknown release'}, ABIs ${has('abis') || 'unknown'}`);
  const root = /uid=0\b/.test(has('id'));
  if (root) add('ok', 'adb has root: clocks can be fixed by hand');
  else
    add(
      'ok',
      /^\//.test(has('su')) ? 'adb has no root, though su is there' : 'adb has no root',
      'Clocks and governors stay as the phone sets them; they are recorded.',
    );
  if (/taskset$/.test(has('taskset'))) add('ok', 'taskset is there: cores can be chosen');
  else add('advice', 'taskset is missing: cores cannot be chosen', 'Leave --cores out.');
  const [kind = '', writable] = has('governor').split('\n');
  if (/^[\w-]+$/.test(kind))
    add('ok', `the governor is ${kind}, ${writable === 'writable' ? 'which may be set' : 'read only'}`);
  else add('advice', 'the governor cannot be read', 'Measurements do not record it.');
  spaceFinding(has('space'), add);
  if (/\bcode 42$/m.test(has('exec'))) add('ok', `programs start in ${folder}`);
  else
    add(
      'fault',
      `programs do not start in ${folder}${noexec(has('mounts')) ? ' (mounted noexec)' : ''}: ${has('exec').split('\n')[0]}`,
      'Native runners cannot be used; the browser can.',
    );
  if (has('selinux')) add('ok', `SELinux is ${has('selinux').toLowerCase()}`);
  if (has('airplane') === '1') add('ok', 'airplane mode is on: radios do not disturb');
  else if (has('airplane') === '0')
    add('advice', 'airplane mode is off', 'Switch it on where the phone is on a cable: radios wake cores.');
  if (has('saver') === '1')
    add('fault', 'battery saver is on: it caps the clocks', 'Switch it off and measure again.');
  for (const { percent, name } of busy(has('busy')))
    add('advice', `${name} uses ${percent} % of a core`, 'Stop it: it takes processors from measurements.');
  return findings;
}

function spaceFinding(
  text: string,
  add: (level: PhoneFinding['level'], what: string, remedy?: string) => void,
): void {
  const [, , , free = ''] = text.split('\n').at(-1)?.trim().split(/\s+/) ?? [];
  if (!/^\d+$/.test(free)) {
    add('advice', `the free space of ${folder} cannot be read`);
    return;
  }
  const bytes = Number(free) * 1024;
  const what = `${Math.floor(bytes / 2 ** 20)} MiB are free in ${folder}`;
  if (bytes < bytesNeeded) add('fault', what, 'Make room: a runner and two models must fit.');
  else if (bytes < bytesAdvised) add('advice', what, 'Large models may not fit.');
  else add('ok', what);
}

const noexec = (mounts: string): boolean =>
  mounts.split('\n').some((line) => / \/data(?:\/local)? /.test(line) && /\bnoexec\b/.test(line));

const busy = (text: string): { readonly percent: number; readonly name: string }[] =>
  text.split('\n').flatMap((line) => {
    const [, percent, name = ''] = /^\s*(\d+(?:\.\d+)?)\s+(\S+)/.exec(line) ?? [];
    if (percent === undefined || Number(percent) < heavyPercent || name === 'top') return [];
    return [{ percent: Number(percent), name }];
  });

function sections(text: string): ReadonlyMap<string, string> {
  const [, ...rest] = text.replaceAll('\r', '').split(/^@@/m);
  return new Map(
    rest.map((part): [string, string] => {
      const end = part.indexOf('\n');
      return end < 0 ? [part, ''] : [part.slice(0, end), part.slice(end + 1).trim()];
    }),
  );
}

/** Every phone that the adb server lists, and what each allows. No server is a finding, not an error. */
export async function examinePhones(
  adb: AdbServer,
  { signal }: { readonly signal: AbortSignal },
): Promise<PhoneFinding[]> {
  if (!(await adb.available({ signal })))
    return [{ level: 'ok', what: 'no adb server runs: phones are not looked for', remedy: '' }];
  const findings: PhoneFinding[] = [];
  for (const { serial, state } of await adb.devices({ signal })) {
    const named = (found: readonly PhoneFinding[]): void =>
      void findings.push(...found.map((one) => ({ ...one, what: `phone ${serial}: ${one.what}` })));
    if (state !== 'device') {
      named([{ level: 'fault', what: `adb calls it "${state}"`, remedy: obstacleOf(state) }]);
      continue;
    }
    try {
      named(judgePreflight((await adb.shell(serial, preflightCommand, { signal })).stdout));
      const topology = readTopology((await adb.shell(serial, topologyCommand, { signal })).stdout);
      named([
        topology.clusters.length === 0
          ? { level: 'advice', what: 'it does not tell its cores', remedy: 'Name them by number.' }
          : {
              level: 'ok',
              what: `cores ${describeTopology(topology)}; --cores takes ${namedChoices(topology).join(', ')} or a list`,
              remedy: '',
            },
      ]);
      named(conditions((await adb.shell(serial, phoneStateCommand, { signal })).stdout));
    } catch (thrown) {
      signal.throwIfAborted();
      const { message, hint } = asHildaError(thrown);
      named([{ level: 'fault', what: message, remedy: hint }]);
    }
  }
  return findings;
}

/** What would make measurements void or slow at this moment. */
function conditions(text: string): PhoneFinding[] {
  const { thermalStatus, batteryPercent, powered, screen, zones, cores } = parsePhoneState(text);
  const findings: PhoneFinding[] = [];
  if (thermalStatus !== null && thermalStatus > 0)
    findings.push({
      level: thermalStatus >= 2 ? 'fault' : 'advice',
      what: `its thermal status is ${thermalStatus}`,
      remedy: 'Let it cool: measurements are void from status 2 on.',
    });
  const capped = cores.filter(
    ({ capKhz, maxKhz }) => capKhz !== null && maxKhz !== null && capKhz < 0.99 * maxKhz,
  );
  if (capped.length > 0)
    findings.push({
      level: 'advice',
      what: `core ${capped.map(({ core }) => core).join(', ')} may not reach its highest clock`,
      remedy: 'The phone caps it now. Times hold for this cap, which is recorded.',
    });
  const readable = zones.filter(({ celsius }) => celsius !== null).length;
  findings.push({
    level: 'ok',
    what: `${readable} of ${zones.length} temperatures can be read; battery ${batteryPercent ?? 'unknown'} %${powered ? ', powered' : ''}; screen ${screen?.toLowerCase() ?? 'unknown'}`,
    remedy: '',
  });
  return findings;
}
