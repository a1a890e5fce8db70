/**
 * Entry of the child process that hosts onnxruntime sessions. It reads the clock itself (the rule of the injected clock
 * stops at this process's door): a timestamp taken anywhere else would contain the IPC.
 */

import type { Request } from './messages.js';
import { runtimeFailure } from './runtime-failure.js';
import { serveParent } from './serve-parent.js';
import { SessionHost } from './session-child-host.js';

const host = new SessionHost();
serveParent((request: Request) => host.serve(request), runtimeFailure);
