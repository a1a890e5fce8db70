import type { FailureWords } from './contract.js';

/** A computer that is an agent, or the daemon's own: Node, its file system and its linker. */
export const machineWords: readonly FailureWords[] = [
  {
    words: /heap out of memory|heap limit|Cannot allocate memory|ENOMEM/,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: 'https://nodejs.org/api/cli.html#--max-old-space-sizesize-in-mib, errno(3)',
  },
  {
    words: /\bE(?:NOSPC|ROFS|ACCES|PERM|MFILE|IO|DQUOT)\b/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://nodejs.org/api/errors.html#common-system-errors',
  },
  {
    words: /spawn \S+ ENOENT|ERR_DLOPEN_FAILED|invalid ELF header|version `\w+_[\d.]+' not found/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://nodejs.org/api/errors.html, ld.so(8)',
  },
  {
    words: /\bE(?:CONNRESET|PIPE|HOSTUNREACH|NETDOWN|TIMEDOUT)\b/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://nodejs.org/api/errors.html#common-system-errors',
  },
  {
    words: /the agent \S+ failed with [A-Z_]+/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'devices/agent/agent-failures.ts: what an agent says of its own disk or store',
  },
];
