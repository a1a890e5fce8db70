export { BoardSession, type BoardSessionOptions } from './board-session.js';
export { poolSeed } from './fill-pool.js';
export type { Hello, ProgramFacts, ResetReason, RunReport, Slot } from './messages.js';
export type { RunOptions } from './run-program.js';
export { type ControlLines, openSerial, type SerialOptions } from './transports/serial-transport.js';
export { openSocket } from './transports/socket-transport.js';
export type { Transport } from './transports/transport.js';
