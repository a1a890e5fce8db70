import type { Test } from 'tap';
import { Adbd } from './adbd.js';

export const properties = {
  'ro.serialno': 'EMU0123456',
  'ro.product.manufacturer': 'Emulated',
  'ro.product.model': 'Test Phone 1',
  'ro.product.cpu.abi': 'arm64-v8a',
};

/** What onnxruntime_perf_test prints for a median, milliseconds. */
export const perfTest = (medianMs: number): string =>
  [
    'Session creation time cost: 0.0213 s',
    'First inference time cost: 12 ms',
    'Total inference time cost: 0.5 s',
    'Total inference requests: 50',
    `Average inference time cost: ${medianMs * 1.1} ms`,
    'Total inference run time: 0.6 s',
    'Number of inferences per second: 98',
    'Avg CPU usage: 12 %',
    'Peak working set size: 34567168 bytes',
    `Min Latency: ${medianMs * 0.9e-3} s`,
    `Max Latency: ${medianMs * 3e-3} s`,
    `P50 Latency: ${medianMs * 1e-3} s`,
    `P90 Latency: ${medianMs * 1.3e-3} s`,
  ].join('\n');

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
      return {
        stdout: `IsStatusOverride: false\nThermal Status: ${this.thermalStatus}\n--battery\n${battery}--clocks\n1800000\n2400000\n`,
      };
    }
    const intent = /^'am' 'start' '-a' 'android.intent.action.VIEW' '-d' '(.+)'$/.exec(command);
    if (intent) {
      this.opened.push(intent[1] as string);
      this.onIntent(intent[1] as string);
      return { stdout: 'Starting: Intent { act=android.intent.action.VIEW }\n' };
    }
    if (command.startsWith('mkdir -p ')) return {};
    if (command.includes('/data/local/tmp/hilda/runner')) {
      this.ran.push(command);
      return { stdout: perfTest(command.includes('candidate') ? 2 : 1) };
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
