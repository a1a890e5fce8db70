import t from 'tap';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { asHildaError, type ErrorCode, HildaError } from '../../daemon/core/errors.js';
import { Departures } from '../../daemon/fleet/departures.js';
import { type Settling, settled } from '../../daemon/fleet/settle-blame.js';
import { faultOf, suspicionOf } from '../../daemon/fleet/suspicion.js';
import { doublingNetwork } from '../contract/device-contract.js';

const { signal } = new AbortController();
const fast = { ...systemClock, sleep: async () => {} };

/** What comes of a job: steps by letter, `n` the network, `r` the reference, `l` the larger one; `x` closes. */
async function settle(
  fate: { n?: string; r?: string; l?: string },
  thrown: HildaError | ((step: string) => HildaError),
  options: { isRemote?: boolean } = {},
) {
  let steps = '';
  const left = { n: [...(fate.n ?? '')], r: [...(fate.r ?? '')], l: [...(fate.l ?? '')] };
  const step = async (name: 'n' | 'r' | 'l'): Promise<void> => {
    steps += name;
    // Beyond what was said of it, it goes on as the last time.
    const fails = left[name].length > 1 ? left[name].shift() : left[name][0];
    if (fails === '-') throw typeof thrown === 'function' ? thrown(name) : thrown;
  };
  const settling: Settling<string> = {
    attempt: async () => {
      await step('n');
      return 'done';
    },
    reference: () => step('r'),
    larger: async () => {
      if (fate.l !== undefined) await step('l');
    },
    close: async () => {
      steps += 'x';
    },
  };
  const ended = await settled(settling, { device: 'fake-0', clock: fast, signal, ...options }).catch(
    asHildaError,
  );
  return { ended, steps };
}

const error = (code: ErrorCode, details: Record<string, unknown> = {}) =>
  new HildaError(code, 'the words', { details });

t.test('who is at fault is decided by a reference network, not by words', async (t) => {
  const unknown = error('FAILURE_UNEXPLAINED');
  const refused = error('NETWORK_REJECTED', { suspect: 'network' });
  const broken = error('DEVICE_FAILED', { suspect: 'device' });
  const full = error('DEVICE_OUT_OF_MEMORY', { memory: true });
  const cases: readonly [
    string,
    Parameters<typeof settle>[1],
    Parameters<typeof settle>[0],
    string,
    object | 'done',
  ][] = [
    ['it runs', unknown, { n: '+' }, 'n', 'done'],
    ['it failed once', unknown, { n: '-+', r: '+' }, 'nxrn', 'done'],
    [
      'it fails again',
      unknown,
      { n: '-', r: '+' },
      'nxrnxrr',
      { code: 'NETWORK_REJECTED', details: { atFault: 'network' } },
    ],
    [
      'the device fails too',
      unknown,
      { n: '-', r: '-' },
      'nxrxrx',
      { code: 'DEVICE_FAILED', details: { atFault: 'device' } },
    ],
    [
      'a device that words excuse',
      refused,
      { n: '-', r: '-' },
      'nrxrxrx',
      { details: { atFault: 'device' } },
    ],
    [
      'a network that words accuse',
      refused,
      { n: '-', r: '+' },
      'nrnrr',
      { code: 'NETWORK_REJECTED', details: { atFault: 'network' } },
    ],
    [
      'a network that words excuse',
      broken,
      { n: '-', r: '+' },
      'nxrnxrnxrr',
      { code: 'NETWORK_REJECTED', details: { atFault: 'network' } },
    ],
    ['every other time', unknown, { n: '-', r: '++-' }, 'nxrnxrrx', { details: { atFault: 'device' } }],
    [
      'a crash that outlasts it',
      unknown,
      { n: '-', r: '-+' },
      'nxrxrnxrr',
      { details: { atFault: 'network' } },
    ],
    [
      'too large',
      full,
      { n: '-', r: '+', l: '+' },
      'nxrnxrnxrrl',
      { code: 'DEVICE_OUT_OF_MEMORY', details: { atFault: 'network' } },
    ],
    [
      'no memory now',
      full,
      { n: '-', r: '+', l: '-' },
      'nxrnxrnxrrlx',
      { code: 'DEVICE_FAILED', details: { atFault: 'device', moment: true } },
    ],
    [
      'it left',
      error('DEVICE_GONE'),
      { n: '-' },
      'n',
      { code: 'DEVICE_GONE', details: { atFault: undefined } },
    ],
    ...(['LINE_TOO_SLOW', 'PEER_STORAGE'] as const).flatMap((code): typeof cases => {
      const device = { code, details: { atFault: 'device', moment: true } };
      return [
        [
          `${code}: it did not reach the device, which no reference can excuse`,
          error(code),
          { n: '-', r: '+' },
          'n',
          device,
        ],
        [
          `${code} of the reference`,
          (step) => error(step === 'n' ? 'DEVICE_FAILED' : code),
          { n: '-', r: '-' },
          'nxrx',
          device,
        ],
      ];
    }),
    ['nothing of measuring', error('DISK_FULL'), { n: '-' }, 'n', { code: 'DISK_FULL' }],
    [
      'known without a device',
      error('OPERATOR_UNSUPPORTED'),
      { n: '-' },
      'n',
      { details: { atFault: 'network' } },
    ],
    [
      'a plan that does not fit',
      error('DEVICE_OUT_OF_MEMORY', { arenaLimitBytes: 9 }),
      { n: '-' },
      'n',
      { details: { atFault: 'network' } },
    ],
  ];
  for (const [what, thrown, fate, steps, expected] of cases) {
    const { ended, steps: taken } = await settle(fate, thrown);
    t.equal(taken, steps, what);
    if (expected === 'done') t.equal(ended, 'done', what);
    else t.match(ended, { message: /the words/, ...expected }, what);
  }
  const remote = await settle({ n: '-', r: '-' }, error('OPERATOR_UNSUPPORTED'), { isRemote: true });
  t.match(remote.ended, { details: { atFault: 'device' } }, 'an agent that refuses everything');
});

t.test('what is told of a failure names both parties’ words', async (t) => {
  const { ended } = await settle({ n: '-', r: '-' }, (step) =>
    step === 'n' ? error('FAILURE_UNEXPLAINED') : new HildaError('ADB_FAILED', 'the cable'),
  );
  t.match(ended, {
    code: 'ADB_FAILED',
    message: /^fake-0 does not run a reference network either: the cable; before it: the words$/,
  });
  t.equal(faultOf(error('NETWORK_REJECTED')), 'other', 'a runtime’s word alone proves nothing');
  t.equal(faultOf(error('NETWORK_REJECTED', { atFault: 'network' })), 'network');
  t.equal(faultOf(error('DISK_FULL')), undefined);
  t.equal(suspicionOf(error('DEVICE_FAILED', { unopened: 'failed' })), null, 'opening is settled elsewhere');
});

t.test('an abort ends the settling with its reason', async (t) => {
  const abort = new AbortController();
  const clock = new ManualClock();
  const settling: Settling<never> = {
    attempt: async () => {
      throw error('DEVICE_OUT_OF_MEMORY', { memory: true });
    },
    reference: async () => abort.abort(new HildaError('INTERRUPTED', 'enough')),
    larger: async () => {},
    close: async () => {},
  };
  await t.rejects(settled(settling, { device: 'fake-0', clock, signal: abort.signal }), {
    code: 'INTERRUPTED',
  });
});

t.test('a network that drives the device away is found out once it did so three times', async (t) => {
  const departures = new Departures();
  const network = doublingNetwork();
  let references = 0;
  const watch = (work: () => Promise<string>, referenceFails = false) =>
    departures
      .watch(network, {
        device: 'fake-0',
        work,
        reference: async () => {
          references++;
          if (referenceFails) throw error('DEVICE_GONE');
        },
      })
      .catch(asHildaError);
  const leaves = async (): Promise<string> => {
    throw error('DEVICE_GONE');
  };
  t.match(await watch(leaves), { code: 'DEVICE_GONE' });
  t.equal(await watch(async () => 'done'), 'done', 'it was chance');
  for (let i = 0; i < 2; i++) t.match(await watch(leaves), { code: 'DEVICE_GONE' });
  t.equal(references, 0);
  const unreached = async (): Promise<string> => {
    throw error('DEVICE_GONE', { unreached: true });
  };
  for (let i = 0; i < 5; i++) t.match(await watch(unreached), { code: 'DEVICE_GONE' });
  t.equal(references, 5, 'a line that breaks before the network is there is not its doing');
  references = 0;
  t.match(
    await watch(leaves, true),
    { code: 'DEVICE_GONE', details: { atFault: undefined } },
    'it disconnects in between',
  );
  t.match(await watch(leaves), {
    code: 'NETWORK_REJECTED',
    details: { atFault: 'network' },
    message: /left 3 times/,
  });
  t.match(await watch(leaves), { code: 'DEVICE_GONE' }, 'the count begins anew');
});
