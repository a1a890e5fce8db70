export { BoardSession, type BoardSessionOptions, poolSeed, type RunOptions } from './board-session.js';
export type { Hello, ProgramFacts, ResetReason, RunReport, Slot } from './messages.js';
export { type ControlLines, openSerial, type SerialOptions } from './transports/serial-transport.js';
export { openSocket } from './transports/socket-transport.js';
export type { Transport } from './transports/transport.js';
