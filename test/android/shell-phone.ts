import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { Adbd } from './adbd.js';
import { properties } from './phone.js';

/** Files of /sys and /proc, and what programs of Android say, as one phone has them. */
export interface ShellPhoneOptions {
  readonly files?: Readonly<Record<string, string>>;
  /** Shell scripts in place of the phone's programs. */
  readonly programs?: Readonly<Record<string, string>>;
  /** As `AdbdOptions.pieces`. */
  readonly pieces?: number;
}

const cpu = '/sys/devices/system/cpu';

/** Eight cores of three kinds, as phones of 2023 have: 4 slow, 3 faster, 1 fastest. */
export const eightCores = (): Record<string, string> => {
  const files: Record<string, string> = { [`${cpu}/online`]: '0-7', [`${cpu}/possible`]: '0-7' };
  for (let core = 0; core < 8; core++) {
    const [capacity, khz, related] =
      core < 4 ? [325, 1_800_000, '0 1 2 3'] : core < 7 ? [828, 2_400_000, '4 5 6'] : [1024, 3_000_000, '7'];
    const policy = `${cpu}/cpu${core}/cpufreq`;
    files[`${cpu}/cpu${core}/cpu_capacity`] = String(capacity);
    files[`${policy}/related_cpus`] = String(related);
    files[`${policy}/cpuinfo_max_freq`] = String(khz);
    files[`${policy}/scaling_max_freq`] = String(khz);
    files[`${policy}/scaling_cur_freq`] = String(Number(khz) / 2);
    files[`${policy}/scaling_governor`] = 'schedutil';
  }
  const zones: [string, string][] = [
    ['cpu-0-0', '41200'],
    ['battery', '305'],
    ['pa-therm', '-273000'],
    ['modem', 'Invalid argument'],
    ['skin', '33'],
  ];
  zones.forEach(([type, temp], zone) => {
    files[`/sys/class/thermal/thermal_zone${zone}/type`] = type;
    files[`/sys/class/thermal/thermal_zone${zone}/temp`] = temp;
  });
  return files;
};

/** As toybox's: the mask is hexadecimal without a prefix; the kernel lists the cores that are allowed then. */
const taskset = `mask=$(printf %d 0x$1); shift
list=; core=0
while [ $core -lt 16 ]; do
  [ $(( (mask >> core) & 1 )) = 1 ] && list="$list,$core"
  core=$((core + 1))
done
printf 'Cpus_allowed_list:\\t%s\\n' "\${list#,}" > "$ROOT/proc/self/status"
exec "$@"`;

const android: Readonly<Record<string, string>> = {
  taskset,
  getenforce: 'echo Enforcing',
  settings: 'case $3 in airplane_mode_on) echo 1;; *) echo 0;; esac',
  top: 'printf "  3.0 surfaceflinger\\n"',
  dumpsys: `case $1 in
  thermalservice) echo 'Thermal Status: 0';;
  battery) printf '  AC powered: false\\n  USB powered: true\\n  status: 2\\n  level: 81\\n  scale: 100\\n  temperature: 305\\n';;
  power) printf '  mWakefulness=Awake\\n  mSettingBatterySaverEnabled=false\\n';;
esac`,
  getprop: `case $1 in
${Object.entries({
  ...properties,
  'ro.product.cpu.abilist': 'arm64-v8a,armeabi-v7a',
  'ro.build.version.release': '14',
})
  .map(([name, value]) => `  ${name}) echo '${value}';;`)
  .join('\n')}
  *) echo;;
esac`,
};

/**
 * An emulated phone whose command lines are run by a real shell of this machine: /sys, /proc and /data are folders of the
 * test, Android's programs are scripts, and pushed programs are scripts that the test wrote.
 */
export class ShellPhone {
  readonly root: string;
  readonly ran: string[] = [];
  /** Called before each command line; may unplug the phone. */
  before: (command: string) => void | Promise<void> = () => {};

  constructor(root: string) {
    this.root = root;
  }

  async put(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    const own = join(this.root, path);
    await mkdir(dirname(own), { recursive: true });
    await writeFile(own, content);
    await chmod(own, mode);
  }

  shell = async (command: string): Promise<{ stdout: string; stderr: string; code: number }> => {
    this.ran.push(command);
    await this.before(command);
    // Words of the phone's paths, not of what is printed.
    const own = command
      .replaceAll(/(?<![\w/])\/(sys|data|proc)\//g, `${this.root}/$1/`)
      .replaceAll('/system/bin/sh', '/bin/sh');
    const child = spawn('/bin/sh', ['-c', own], {
      env: { PATH: `${this.root}/bin:/usr/bin:/bin`, ROOT: this.root },
    });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (part: Buffer) => out.push(part));
    child.stderr.on('data', (part: Buffer) => err.push(part));
    const code = await new Promise<number>((resolve) =>
      child.once('close', (status) => resolve(status ?? 255)),
    );
    const text = (parts: Buffer[]): string => Buffer.concat(parts).toString().replaceAll(this.root, '');
    return { stdout: text(out), stderr: text(err), code };
  };
}

/** Stopped and removed with the test. */
export async function openShellPhone(
  t: Test,
  { files = eightCores(), programs = {}, pieces }: ShellPhoneOptions = {},
) {
  const root = await mkdtemp(join(tmpdir(), 'hilda-phone-'));
  const phone = new ShellPhone(root);
  for (const [path, content] of Object.entries({
    ...files,
    '/proc/mounts': '/dev/block/dm-8 /data f2fs rw,nosuid,nodev 0 0\n',
    '/proc/self/status': '',
    '/data/local/tmp/.keep': '',
  }))
    await phone.put(path, content.endsWith('\n') || content === '' ? content : `${content}\n`);
  for (const [name, script] of Object.entries({ ...android, ...programs }))
    if (script !== '') await phone.put(`bin/${name}`, `#!/bin/sh\n${script}\n`, 0o755);
  const adbd = new Adbd({
    port: 0,
    properties,
    trust: true,
    shell: phone.shell,
    ...(pieces !== undefined && { pieces }),
    onFile: (path, bytes, mode) => phone.put(path, bytes, mode),
  });
  const port = await adbd.start();
  t.teardown(async () => {
    await adbd.stop();
    await rm(root, { recursive: true, force: true, maxRetries: 3 });
  });
  return { phone, adbd, serial: `127.0.0.1:${port}` };
}
