import { type Logger, pino } from 'pino';
import { redacted } from '../core/redact.js';

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Lines of JSON, to stderr (`fd` 2) or elsewhere. What looks like a token, key, code or cookie is hidden, wherever in a line it stands. */
export const openLog = (level: LogLevel, fd = 2): Logger =>
  pino({ base: null, level, hooks: { streamWrite: redacted } }, pino.destination({ dest: fd, sync: true }));
