import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { chromiumMissing, chromiumPath } from '../devices/chromium.js';

const child = fileURLToPath(new URL('./moving-daemon.js', import.meta.url));

/** False where a network namespace with interfaces can be made, otherwise why not. */
function namespacesMissing(): string | false {
  if (!chromiumPath) return chromiumMissing;
  try {
    execFileSync(
      'unshare',
      ['--net', 'ip', 'link', 'add', 'hilda-a', 'type', 'veth', 'peer', 'name', 'hilda-b'],
      {
        stdio: 'ignore',
      },
    );
    return false;
  } catch {
    return 'no network namespace can be made here: it takes root and iproute2';
  }
}

t.test(
  'a new interface, a restart, an address that goes: agents and pages go on',
  { skip: namespacesMissing(), timeout: 400_000 },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'hilda-moving-'));
    t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
    // The namespace, with its interfaces, ends with the program.
    const run = promisify(execFile)('unshare', ['--net', process.execPath, child, folder], {
      timeout: 380_000,
      maxBuffer: 2 ** 26,
    });
    const seen = JSON.parse((await run).stdout);
    t.match(seen.pins[0], /^[0-9a-f]{64}$/);
    t.equal(new Set(seen.pins.filter((pin: string | null) => pin !== null)).size, 1, 'one key throughout');
    t.match(seen.addresses.join(), /wss:\/\/10\.77\.0\.2:4381.*wss:\/\/172\.30\.0\.1:4381/);
    t.same(seen.agents, Array(3).fill(seen.agents[0]), 'the agent came back twice, as itself');
    t.match(seen.pages[0], /^browser-/);
    t.equal(seen.pages[1], seen.pages[0], 'the page came back as itself, and its browser asked nothing');
    t.match(seen.last, /^wss:\/\/(172\.30\.0\.1|[a-z].*):4381$/i, 'found by an address that was announced');
    t.equal(seen.wrongHosts, 0);

    await t.test('page, agent and daemon share the processors, and take turns', async (t) => {
      for (const { kind, host } of seen.hosts) t.equal(host, 'local', kind);
      const turns = [...seen.measured].sort((a, b) => a.takenAtMs - b.takenAtMs);
      for (const { kind, verdict, reason, problem } of turns) {
        t.equal(problem, null);
        t.comment(`${kind}: ${verdict}, ${reason}`);
      }
      for (const [i, { kind, takenAtMs }] of turns.entries()) {
        const before = turns[i - 1];
        if (before)
          t.ok(takenAtMs >= before.takenAtMs + before.durationMs - 30, `${kind} after ${before.kind}`);
      }
    });
  },
);
