import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Architecture } from '../../daemon/core/architecture.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { BlobId, DeviceId } from '../../daemon/core/ids.js';
import { SimulatedClock } from '../../daemon/core/simulated-clock.js';
import { scriptedLine } from '../../daemon/devices/mcu/line-faults/lines-under-test.js';
import { CommandEvaluator } from '../../daemon/evaluate/command.js';
import { faultyClock } from '../../daemon/faults/edges/clock.js';
import { type Action, actionsAt, type Edge, type FaultPlanInput } from '../../daemon/faults/fault-plan.js';
import { switchboard, useSwitchboard } from '../../daemon/faults/present.js';
import { matches, type StruckPlace, Switchboard } from '../../daemon/faults/switchboard.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { openStore } from '../../daemon/store/open-store.js';
import { startTestDaemon } from '../../daemon/testing/test-daemon.js';
import { virtualFleet } from '../../daemon/testing/virtual-fleet.js';
import { runHere } from '../cli/run-command.js';
import { target } from '../contract/store-samples.js';
import { runAgent } from '../lines/agent-in-node.js';

/** Each action at each edge is seen to strike, and ends in an error with a code, or in what would have been without it. */
t.setTimeout(900_000);
const { signal } = new AbortController();
const seen = new Map<Edge, Set<Action>>();

/** A switchboard that this process uses until the test ends. */
function board(t: Test, plan: FaultPlanInput, clock = systemClock as Parameters<typeof faultyClock>[0]) {
  const made = watched(plan, clock);
  t.teardown(useSwitchboard(made));
  return made;
}

function watched(plan: FaultPlanInput, clock = systemClock as Parameters<typeof faultyClock>[0]) {
  const onStrike = ({ edge, action }: StruckPlace): void => {
    seen.set(edge, (seen.get(edge) ?? new Set()).add(action));
  };
  return new Switchboard(plan, { onStrike, clock });
}

/** Each of the actions once, in this order. */
const inTurn = (edge: Edge, match: string, actions: readonly Action[] = actionsAt[edge]): FaultPlanInput => ({
  rules: actions.map((action) => ({ edge, match, action, times: 1, ...(action === 'delay' && { ms: 20 }) })),
});

/** The code of what it throws, which must have one; null where it does not throw. */
async function codeOf(work: () => Promise<unknown>): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (thrown) {
    if (thrown instanceof HildaError && thrown.code !== 'INTERNAL') return thrown.code;
    throw thrown;
  }
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.on('error', () => {});
    socket.once('close', () => resolve());
  });

const temporary = async (t: Test): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-faults-'));
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
};

t.test('a plan says what is wrong with it', async (t) => {
  const wrong: readonly (readonly [unknown, string])[] = [
    [{}, 'rules'],
    [{ rules: [] }, 'rules'],
    [{ rules: [{ edge: 'moon', action: 'fail' }] }, 'rules.0.edge'],
    [{ rules: [{ edge: 'store', action: 'corrupt' }] }, 'rules.0.action'],
    [{ rules: [{ edge: 'ws', action: 'drop', probability: 0 }] }, 'rules.0.probability'],
    [{ rules: [{ edge: 'ws', action: 'drop', every: 2, nth: 3 }] }, 'rules.0.probability'],
    [{ rules: [{ edge: 'ws', action: 'drop', ms: 5 }] }, 'rules.0.ms'],
    [{ rules: [{ edge: 'ws', action: 'delay', ms: -5 }] }, 'rules.0.ms'],
    [{ rules: [{ edge: 'ws', action: 'fail', as: 'ENOSPC' }] }, 'rules.0.as'],
    [{ rules: [{ edge: 'ws', action: 'drop', often: true }] }, 'rules.0'],
  ];
  for (const [plan, field] of wrong)
    t.throws(() => new Switchboard(plan as FaultPlanInput), {
      code: 'SPEC_INVALID',
      details: { fields: [field] },
    });
});

t.test(
  'rules strike as often as they say, the same for a seed, and stop when they are cleared',
  async (t) => {
    const strikes = (plan: FaultPlanInput, passages = 12): number[] => {
      const made = new Switchboard(plan);
      return Array.from({ length: passages }, (_, i) => i).filter(() =>
        made.strike('ws', 'send a phone', ['drop']),
      );
    };
    const drop = { edge: 'ws', action: 'drop' } as const;
    t.same(strikes({ rules: [{ ...drop, every: 4 }] }), [3, 7, 11]);
    t.same(strikes({ rules: [{ ...drop, nth: 2 }] }), [1]);
    t.same(strikes({ rules: [{ ...drop, times: 2 }] }), [0, 1]);
    t.same(strikes({ rules: [{ ...drop, match: 'receive' }] }), []);
    t.same(strikes({ rules: [{ edge: 'ws', action: 'fail' }] }), [], 'what cannot happen there does not');
    const half = { rules: [{ ...drop, probability: 0.5 }] };
    const often = strikes(half, 1000);
    t.ok(often.length > 430 && often.length < 570, `${often.length} of 1000`);
    t.same(strikes({ ...half, seed: 1 }, 1000), often);
    t.notSame(strikes({ ...half, seed: 2 }, 1000), often);

    const made = new Switchboard(half);
    for (let i = 0; i < 50; i++) made.strike('ws', 'send', ['drop']);
    const before = made.strikes;
    made.clear();
    t.equal(made.strike('ws', 'send', ['drop']), null);
    t.throws(() => made.replace({ rules: [] }), { code: 'SPEC_INVALID' });
    made.replace({ rules: [drop] });
    t.ok(made.strike('ws', 'send', ['drop']));
    t.equal(made.strikes, before + 1, 'strikes of former rules stay counted');

    t.ok(matches('INSERT INTO jobs (id)', 'INTO jobs'));
    t.ok(matches('write /data/blobs/ab/cd', 'write *blobs/*cd'));
    t.notOk(matches('write /data/blobs/ab/cd', 'cd*write'));
  },
);

t.test('without a switchboard there is none, and two daemons of a process do not mix theirs', async (t) => {
  t.equal(switchboard(), null);
  const plan: FaultPlanInput = { rules: [{ edge: 'store', action: 'fail', nth: 1_000_000 }] };
  const first = await startTestDaemon({ faults: plan });
  t.teardown(() => first.stop());
  t.match(await first.client.health({ signal }), { faults: { rules: 1, strikes: 0 } });
  await t.rejects(startTestDaemon({ faults: plan }), { code: 'STATE_CONFLICT' });
  await first.stop();
  t.equal(switchboard(), null, 'it goes with its daemon');
  const second = await startTestDaemon();
  t.teardown(() => second.stop());
  t.match(await second.client.health({ signal }), { faults: null });
});

t.test('hilda up takes the file of HILDA_FAULTS, and refuses one that is wrong', async (t) => {
  const folder = await temporary(t);
  const file = join(folder, 'faults.yaml');
  const up = () => runHere(['up', '--port', '0', '--data', join(folder, 'data')], { HILDA_FAULTS: file });
  t.match(await up(), { code: 3 }, 'the file is missing');
  await writeFile(file, 'rules: [{edge: clock, action: drop}]');
  const { code, err } = await up();
  t.equal(code, 2);
  t.match(err, /clock takes delay, corrupt/);
});

t.test(
  'serial: a board is measured right or fails with a code, and is measured again afterwards',
  async (t) => {
    const clock = new SimulatedClock();
    const line = scriptedLine(3, clock);
    t.teardown(() => line.close());
    const faults = board(t, { rules: [{ edge: 'serial', action: 'fail', match: 'open', times: 1 }] }, clock);
    const protocol = loadProtocol('quick');
    const measured = async () => {
      for await (const sighting of line.driver.discover({ signal })) {
        const device = await line.driver.open(sighting, { signal });
        try {
          return await device.measure(line.network, protocol, { signal });
        } finally {
          await device.close();
        }
      }
      throw new HildaError('DEVICE_GONE', 'no board is seen');
    };
    const isRight = ({ verdict, latency }: Awaited<ReturnType<typeof measured>>): boolean =>
      verdict === 'valid' && Math.abs((latency?.rawUs.median ?? 0) / (line.truthUs ?? 1) - 1) < 0.05;
    const recovers = async (title: string): Promise<void> => {
      for (let tries = 0; tries < 20; tries++) {
        const code = await codeOf(async () => t.ok(isRight(await measured()), title));
        if (code === null) return;
        await clock.sleep(5000);
      }
      t.fail(`${title}: the board is not measured`);
    };
    await recovers('a port that does not open');
    t.same(faults.counts(), [1]);
    for (const action of actionsAt.serial)
      for (const way of ['read', 'write']) {
        if (way === 'read' && action === 'fail') continue;
        faults.replace({ rules: [{ edge: 'serial', action, match: way, every: 7, times: 5 }] });
        // What was valid while bytes were changed must be right; a verdict that is not valid is no fault.
        await codeOf(async () => {
          const measurement = await measured();
          t.ok(measurement.verdict !== 'valid' || isRight(measurement), `${way} ${action}`);
        });
        t.ok((faults.counts()[0] ?? 0) > 0, `${way} ${action} strikes`);
        faults.clear();
        await recovers(`after ${way} ${action}`);
      }
  },
);

t.test('socket: a client hears a code, and is answered when it asks again', async (t) => {
  const faults = watched(inTurn('socket', '*'));
  const daemon = await startTestDaemon({ faults });
  t.teardown(() => daemon.stop());
  const codes: (string | null)[] = [];
  for (const action of actionsAt.socket) {
    faults.replace({ rules: [{ edge: 'socket', action, match: action === 'fail' ? 'accept' : 'send' }] });
    // Requests go over a connection that is kept open.
    if (action === 'fail') await closed(connect(Number(new URL(daemon.url).port), '127.0.0.1'));
    for (let asked = 0; asked < 4; asked++) {
      // A number that is not the one that was sent is possible: no client can tell in plain HTTP.
      const code = await codeOf(() => daemon.client.devices({ signal })).catch(
        (thrown: HildaError) => thrown.code,
      );
      codes.push(code);
    }
    t.ok(faults.strikes > 0);
    faults.clear();
    await t.resolves(daemon.client.devices({ signal }), `after ${action}`);
  }
  const known = [null, 'DAEMON_UNREACHABLE', 'INTERNAL'];
  t.same(
    codes.filter((code) => !known.includes(code)),
    [],
  );
});

t.test('ws: an agent whose messages are lost, cut or changed joins in the end', async (t) => {
  const faults = watched(inTurn('ws', 'receive'));
  const daemon = await startTestDaemon({ faults });
  t.teardown(() => daemon.stop());
  const { token } = await daemon.client.invite('agent', { signal });
  const url = `${daemon.url.replace('http', 'ws')}/v1/agents/join`;
  const dataDir = await temporary(t);
  const join = () =>
    runAgent({
      clock: systemClock,
      connect: () => connectWs(url, { signal }),
      drivers: [virtualFleet(1)],
      dataDir,
      key: token,
    });
  let agent = join();
  t.teardown(() => agent.stop());
  const isJoined = (): boolean => agent.said('joined') > 0;
  const ends: string[] = [];
  while (!isJoined() || faults.counts().some((strikes) => strikes === 0)) {
    await systemClock.sleep(50);
    const ended = agent.ended();
    if (ended === null) continue;
    ends.push(ended);
    agent = join();
  }
  t.same(
    ends.filter((code) => code === 'INTERNAL'),
    [],
    ends.join(),
  );
  faults.replace({ rules: [{ edge: 'ws', action: 'fail', match: 'dial', times: 1 }] });
  await t.rejects(connectWs(url, { signal }), { code: 'DAEMON_UNREACHABLE' });
});

t.test('store: a statement that fails or is late loses no job and doubles none', async (t) => {
  const faults = watched({ rules: [{ edge: 'store', action: 'delay', ms: 5, every: 3 }] });
  const daemon = await startTestDaemon({ faults, drivers: [virtualFleet(2)] });
  t.teardown(() => daemon.stop());
  for (const code of ['SQLITE_BUSY', 'SQLITE_FULL'] as const) {
    faults.replace({
      seed: 5,
      rules: [
        { edge: 'store', action: 'fail', as: code, probability: 0.1, times: 20 },
        { edge: 'store', action: 'delay', ms: 5, every: 3 },
      ],
    });
    const errors = new Set<string | null>();
    for (let i = 0; i < 20; i++) errors.add(await codeOf(() => daemon.client.devices({ signal })));
    t.ok(faults.counts()[0], 'it strikes');
    errors.delete(null);
    t.same([...errors], [code === 'SQLITE_BUSY' ? 'STORE_BUSY' : 'DISK_FULL']);
  }
  faults.clear();
  await t.resolves(daemon.client.devices({ signal }));
});

t.test('a transaction that fails at any statement leaves no part of it', async (t) => {
  const faults = board(t, { rules: [{ edge: 'store', action: 'fail', nth: 1 }] });
  const store = await openStore({ dataDir: await temporary(t), clock: systemClock });
  t.teardown(() => store.close());
  faults.clear();
  for (let nth = 1; ; nth++) {
    const before = await store.lastSeq();
    const key = `key ${nth}`;
    faults.replace({ rules: [{ edge: 'store', action: 'fail', as: 'SQLITE_FULL', nth }] });
    const code = await codeOf(() => store.setValue(key, { nth }));
    const struck = faults.strikes;
    faults.clear();
    if (code === null) {
      t.ok(nth > 2, `${nth - 1} statements, ${struck} strikes`);
      t.same(await store.value(key), { nth });
      break;
    }
    t.equal(code, 'DISK_FULL');
    t.equal(await store.value(key), undefined);
    t.equal(await store.lastSeq(), before);
  }
});

t.test(
  'child: a session that does not start, or dies, fails with a code, and the next call works',
  async (t) => {
    const faults = board(t, { rules: [{ edge: 'child', action: 'fail', match: 'start session', times: 1 }] });
    const session = new SessionProcess();
    t.teardown(() => session.stop());
    t.equal(await codeOf(() => session.describe()), 'DEVICE_FAILED');
    await t.resolves(session.describe());
    faults.replace({ rules: [{ edge: 'child', action: 'drop', match: 'ask session describe', times: 1 }] });
    t.equal(await codeOf(() => session.describe()), 'DEVICE_FAILED');
    await t.resolves(session.describe());
    faults.replace({ rules: [{ edge: 'child', action: 'delay', ms: 20, match: 'ask session', times: 1 }] });
    await t.resolves(session.describe());
    t.same(faults.counts(), [1]);

    const command = [process.execPath, '-e', 'console.log(JSON.stringify({accuracy: 0.25}))'];
    const evaluator = new CommandEvaluator({ command, timeoutMs: 600_000, metrics: ['accuracy'] });
    const evaluate = () => evaluator.evaluate({} as Architecture, { signal });
    faults.replace({ rules: [{ edge: 'child', action: 'fail', match: 'start', times: 1 }] });
    t.equal(await codeOf(evaluate), 'EVALUATION_FAILED');
    faults.replace({ rules: [{ edge: 'child', action: 'truncate', match: 'output', times: 1 }] });
    t.equal(await codeOf(evaluate), 'EVALUATION_FAILED');
    faults.replace({ seed: 3, rules: [{ edge: 'child', action: 'corrupt', match: 'output', times: 1 }] });
    await codeOf(evaluate);
    t.same(faults.counts(), [1]);
    t.match(await evaluate(), { values: { accuracy: 0.25 } });
  },
);

t.test('file: damage is found by the sum, a full disk has its code, and putting again mends', async (t) => {
  const blobs = fileBlobs(await temporary(t));
  const faults = board(t, { rules: [{ edge: 'file', action: 'fail', match: 'write', times: 1 }] });
  const bytes = new TextEncoder().encode('some content '.repeat(50));
  t.equal(await codeOf(() => blobs.put(bytes)), 'DISK_FULL');
  const id = await blobs.put(bytes);
  const expected: Readonly<Record<Action, readonly [read: string | null, write: string | null]>> = {
    drop: ['NOT_FOUND', 'NOT_FOUND'],
    delay: [null, null],
    truncate: ['STORE_CORRUPT', 'STORE_CORRUPT'],
    corrupt: ['STORE_CORRUPT', 'STORE_CORRUPT'],
    fail: ['STORE_BUSY', 'DISK_FULL'],
  };
  for (const [i, action] of actionsAt.file.entries()) {
    const [read, write] = expected[action];
    const late = action === 'delay' && { ms: 20 };
    const as = action === 'fail' && { as: 'SQLITE_BUSY' };
    faults.replace({ rules: [{ edge: 'file', action, match: 'read', times: 1, ...late, ...as }] });
    t.equal(await codeOf(() => blobs.get(id)), read, `read ${action}`);
    t.ok(Buffer.from(bytes).equals(await blobs.get(id)));

    const other = new TextEncoder().encode(`content ${i}`.repeat(30));
    faults.replace({ rules: [{ edge: 'file', action, match: 'write', times: 1, ...late }] });
    const put = () => blobs.put(other).then((put: BlobId) => blobs.get(put));
    t.equal(await codeOf(put), write, `write ${action}`);
    t.same(faults.counts(), [1]);
    t.ok(
      Buffer.from(other).equals(await blobs.get(await blobs.put(other))),
      'what is damaged or missing is stored again',
    );
  }
});

t.test('clock: sleepers wake late, the date steps, and times of networks are spared', async (t) => {
  const clock = new ManualClock(1000);
  const faults = watched({
    rules: [
      { edge: 'clock', action: 'delay', ms: 50, nth: 2 },
      { edge: 'clock', action: 'corrupt', ms: -600, nth: 2 },
    ],
  });
  const faulty = faultyClock(clock, faults);
  t.equal(faulty.nowMs(), 1000);
  t.equal(faulty.nowMs(), 400);
  t.equal(faulty.nowMs(), 400, 'for good');
  t.equal(faulty.monotonicUs(), clock.monotonicUs());
  const woken: number[] = [];
  for (const n of [1, 2]) void faulty.sleep(100).then(() => woken.push(n));
  await clock.advance(100);
  t.same(woken, [1]);
  await clock.advance(50);
  t.same(woken, [1, 2]);

  // A lease lives by differences: a date that steps back by a minute neither ends it nor lets another one have it.
  const dates = new Switchboard({ rules: [{ edge: 'clock', action: 'corrupt', ms: -60_000, nth: 2 }] });
  const store = await openStore({ dataDir: ':memory:', clock: faultyClock(systemClock, dates) });
  t.teardown(() => store.close());
  const device = 'fake-0' as DeviceId;
  await store.upsertDevice({ id: device, kind: 'fake', label: 'Fake', target });
  t.ok(await store.acquireLease(device, 'one', 600_000));
  t.equal(await store.acquireLease(device, 'other', 600_000), undefined);
});

t.test('each action of each edge was seen', async (t) => {
  for (const [edge, actions] of Object.entries(actionsAt) as [Edge, readonly Action[]][])
    t.same([...(seen.get(edge) ?? [])].sort(), [...actions].sort(), edge);
});
