export { BoardSession, type BoardSessionOptions } from './board-session.js';
export type { Hello, ProgramFacts, ResetReason, RunReport, Slot } from './messages.js';
export type { RunOptions } from './run-program.js';
export { listSerialPorts, loadSerialPort } from './transports/serial-ports.js';
export { type ControlLines, openSerial, type SerialOptions } from './transports/serial-transport.js';
export type { Transport } from './transports/transport.js';
