import type { Test } from 'tap';
import { Adbd } from './adbd.js';
import { perfTestOutput } from './runner-outputs.js';

export const properties = {
  'ro.serialno': 'EMU0123456',
  'ro.product.manufacturer': 'Emulated',
  'ro.product.model': 'Test Phone 1',
  'ro.product.cpu.abi': 'arm64-v8a',
};

/** A phone's shell, as far as the daemon uses it. */
export class Phone {
  thermalStatus = 0;
  opened: string[] = [];
  onIntent: (url: string) => void = () => {};
  ran: string[] = [];

  shell = async (command: string) => {
    if (command.includes('getprop')) {
      const names = [...command.matchAll(/getprop ([\w.]+)/g)].map(
        ([, name]) => name as keyof typeof properties,
      );
      return { stdout: names.map((name) => `${properties[name] ?? ''}\n`).join('') };
    }
    if (command.includes('dumpsys thermalservice')) {
      const battery = '  AC powered: false\n  USB powered: true\n  level: 81\n  temperature: 305\n';
      const clocks = [1800000, 2400000]
        .map((khz, core) => `/sys/devices/system/cpu/cpu${core}/cpufreq/scaling_cur_freq:${khz}\n`)
        .join('');
      return {
        stdout: `IsStatusOverride: false\nThermal Status: ${this.thermalStatus}\n--battery\n${battery}--power\n--sys\n${clocks}`,
      };
    }
    const intent = /^'am' 'start' '-a' 'android.intent.action.VIEW' '-d' '(.+)'$/.exec(command);
    if (intent) {
      this.opened.push(intent[1] as string);
      this.onIntent(intent[1] as string);
      return { stdout: 'Starting: Intent { act=android.intent.action.VIEW }\n' };
    }
    if (command.startsWith('mkdir -p ')) return {};
    if (command.endsWith("'-h'")) return { stdout: 'Options: -I -m -r -e -x -s -S\n' };
    if (command.includes('--hilda-result')) {
      this.ran.push(command);
      const runs = Number(/'-r' '(\d+)'/.exec(command)?.[1]);
      const ms = /candidate\.onnx/.test(command) ? 2 : 1;
      // No two runs are alike, as on a phone.
      const seconds = Array.from(
        { length: runs },
        (_, i) => (ms / 1000) * (1 + ((i * 7 + this.ran.length) % 5) / 1e4),
      );
      const { stdout, result } = perfTestOutput('today', seconds);
      return { stdout: `${stdout}--hilda-clocks\n--hilda-result\nyes\n${result}` };
    }
    if (command === 'exit 7') return { stderr: 'as told\n', code: 7 };
    return undefined;
  };
}

/** The emulated phone, waiting for an adb server at `serial`. Stopped with the test. */
export async function openPhone(t: Test, { trust = true } = {}) {
  const phone = new Phone();
  const adbd = new Adbd({ port: 0, properties, trust, shell: phone.shell });
  const port = await adbd.start();
  t.teardown(() => adbd.stop());
  return { phone, adbd, serial: `127.0.0.1:${port}` };
}
