import { writeFile } from 'node:fs/promises';
import { formatBytes } from '../../../core/quantities.js';
import type { CliContext } from '../../context.js';

export async function exportJournal(
  context: CliContext,
  id: string,
  { out }: { readonly out: string },
): Promise<void> {
  const bytes = await context.client.journal(id, context);
  await writeFile(out, bytes);
  const told = { id, file: out, bytes: bytes.byteLength };
  context.answer('journal', told, () => `Wrote ${out}: ${formatBytes(bytes.byteLength)}.`);
}
