import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import { type Protocol, protocolSchema } from './protocol.js';

/** From dist/daemon/measure to the project's root. */
const shippedFolder = fileURLToPath(new URL('../../../profiles/protocols/', import.meta.url));

/** Names of the protocols in the folder, sorted. */
export function protocolNames(folder = shippedFolder): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/** Reads one protocol. Throws PROTOCOL_UNKNOWN (no such file) or SPEC_INVALID (the file breaks the schema). */
export function loadProtocol(name: string, folder = shippedFolder): Protocol {
  const names = protocolNames(folder);
  if (!names.includes(name)) {
    throw new HildaError('PROTOCOL_UNKNOWN', `no protocol "${name}"; there are ${names.join(', ')}`, {
      details: { names },
    });
  }
  return parseProtocol(readFileSync(`${folder}/${name}.json`, 'utf8'), name);
}

function parseProtocol(text: string, name: string): Protocol {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new HildaError('SPEC_INVALID', `protocol "${name}" is not JSON`, { cause });
  }
  const parsed = protocolSchema.safeParse(data);
  if (!parsed.success) {
    throw new HildaError('SPEC_INVALID', `protocol "${name}": ${z.prettifyError(parsed.error)}`, {
      cause: parsed.error,
    });
  }
  if (parsed.data.minRounds > parsed.data.maxRounds) {
    throw new HildaError('SPEC_INVALID', `protocol "${name}": minRounds exceeds maxRounds`);
  }
  const { minSessions = 1, maxSessions = 1 } = parsed.data;
  if (minSessions > maxSessions)
    throw new HildaError('SPEC_INVALID', `protocol "${name}": minSessions exceeds maxSessions`);
  return parsed.data;
}
