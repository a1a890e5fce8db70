import { asHildaError, HildaError } from '../../core/errors.js';
import { BrowserDevice } from '../browser/device.js';
import { pageVariants } from '../browser/targets.js';
import type { Device } from '../contract.js';
import { quoted } from './adb-server.js';
import type { AdbDriverOptions } from './options.js';
import type { Phone } from './phone.js';
import { judgePhone, type PhoneState, parsePhoneState, phoneStateCommand } from './phone-state.js';

/** Opens the page of the daemon in a phone's browser, through a tunnel. Throws DEVICE_FAILED where it does not come. */
export async function openBrowser(
  phone: Phone,
  { adb, clock, pages, keys, joinPort, phonePort = 28_080, openMs = 30_000 }: AdbDriverOptions,
  signal: AbortSignal,
): Promise<Device> {
  const { serial, id } = phone;
  await adb.reverse(serial, phonePort, joinPort(), { signal });
  const { token, pairing } = await keys.issue('page', id);
  pages.page(id)?.close('the phone opens the page afresh');
  // The query makes the address new: a browser would only scroll on a page that it shows already.
  const url = `http://localhost:${phonePort}/join/?visit=${pairing}#t=${token}`;
  const intent = ['am', 'start', '-a', 'android.intent.action.VIEW', '-d', url].map(quoted).join(' ');
  const { stdout, stderr, exitCode } = await adb.shell(serial, intent, { signal });
  if (exitCode !== 0 || /^Error/m.test(stdout + stderr))
    throw new HildaError(
      'DEVICE_FAILED',
      `the phone opens no page: ${(stderr || stdout).trim().slice(0, 300)}`,
      {
        hint: 'It needs a browser that opens web addresses.',
      },
    );
  const page = await pages.waitFor(id, { signal, timeoutMs: openMs }).catch((thrown: unknown) => {
    const error = asHildaError(thrown);
    if (error.code !== 'DEVICE_TIMEOUT') throw error;
    throw new HildaError('DEVICE_FAILED', `the browser of ${phone.label} did not open the page`, {
      hint: 'Unlock the phone, and choose a browser if it asks for one.',
      cause: error,
    });
  });
  const [variant] = pageVariants(id, page.about);
  if (!variant) throw new HildaError('INTERNAL', 'a page without a way to run networks');
  return new BrowserDevice({
    page,
    target: { ...variant.target, model: phone.model },
    software: variant.software,
    clock,
    surroundings: {
      read: async (options) => parsePhoneState((await adb.shell(serial, phoneStateCommand, options)).stdout),
      judge: (before, after) => judgePhone(before as PhoneState, after as PhoneState),
    },
  });
}
