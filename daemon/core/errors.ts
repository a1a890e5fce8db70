/**
 * Every error hilda raises, in one table. The code is stable: scripts match on it, tests assert it, the HTTP
 * status and the exit code of the CLI derive from it, and `docs/errors.md` explains it (a test holds the two
 * together). Exit codes: 1 failure, 2 usage, 3 not found, 4 no device, 5 measurement not valid, 6 budget missed,
 * 7 daemon unreachable, 8 not authorised, 9 device error, 124 time-out, 130 interrupted.
 */
interface ErrorKind {
  readonly http: number;
  readonly exit: number;
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean;
  /** What the user can do; printed unless the thrower knows better. */
  readonly hint: string;
}

const kind = (http: number, exit: number, retryable: boolean, hint: string): ErrorKind => ({
  http,
  exit,
  retryable,
  hint,
});

export const errorTable = {
  INTERNAL: kind(500, 1, false, 'This is a defect in hilda. Please report it with the log.'),
  INTERRUPTED: kind(503, 130, true, 'The operation was stopped before it ended. Start it again.'),
  USAGE_INVALID: kind(400, 2, false, 'Run the command with --help to see what it takes.'),
  REQUEST_INVALID: kind(400, 2, false, 'Compare the request with /v1/openapi.json.'),
  REQUEST_TIMEOUT: kind(408, 2, true, 'Send the whole request in time: its head within 20 s.'),
  REQUEST_TOO_LARGE: kind(413, 2, false, 'Send less; `details.limitBytes` says how much is taken.'),
  HEADERS_TOO_LARGE: kind(431, 2, false, 'Shorten the address and the headers: 16 KiB together.'),
  METHOD_NOT_ALLOWED: kind(405, 2, false, 'The header Allow, and `details.allow`, name the methods.'),
  MEDIA_TYPE_UNSUPPORTED: kind(415, 2, false, 'Send JSON with `content-type: application/json`.'),
  UPGRADE_REQUIRED: kind(426, 2, false, 'Open the address as a websocket.'),
  CHANNEL_FULL: kind(
    503,
    1,
    true,
    'Too many websocket clients are connected. Close some, or come back later.',
  ),
  REQUESTS_LIMITED: kind(
    503,
    1,
    true,
    'The daemon has as much to do as it takes. Come back after `details.retryAfterS` seconds (Retry-After).',
  ),
  TOKEN_REFUSED: kind(
    401,
    8,
    false,
    'Use the account that runs the daemon, or name a token in HILDA_TOKEN (`hilda token create`). Open the page with `hilda open`.',
  ),
  SCOPE_MISSING: kind(
    403,
    8,
    false,
    'Ask for a token of the scope named in the message: `hilda token create --scope`.',
  ),
  CONSENT_NEEDED: kind(
    403,
    8,
    false,
    'Start it with `hilda search start` from the account that runs the daemon: the specification runs a program or names files.',
  ),
  ORIGIN_REFUSED: kind(403, 8, false, 'The daemon answers only pages and clients of its own host.'),
  NOT_FOUND: kind(404, 3, false, 'List what exists first.'),
  DEVICE_UNKNOWN: kind(404, 3, false, 'Run `hilda devices list` to see the devices.'),
  STUDY_UNKNOWN: kind(404, 3, false, 'Run `hilda search list` to see the studies.'),
  SAMPLER_UNKNOWN: kind(422, 2, false, 'Choose one of the samplers named in the message.'),
  STATE_CONFLICT: kind(409, 1, false, 'Look at the present state with `hilda search show` first.'),
  RESULT_CONFLICT: kind(
    409,
    1,
    false,
    'The trial keeps its first result: compare `details.stored` with `details.offered`.',
  ),
  IDEMPOTENCY_CONFLICT: kind(
    409,
    1,
    false,
    'The key belongs to an earlier request that asked for something else. Take a new key.',
  ),
  QUEUE_FULL: kind(503, 4, true, 'Too many jobs wait. Cancel some, or come back later.'),
  DEADLINE_MISSED: kind(
    504,
    124,
    true,
    'Its devices were busy or away for too long. Submit it again with a later deadline.',
  ),
  EVALUATION_FAILED: kind(
    422,
    1,
    false,
    'The evaluator gave no value. Its last words are in the message; try it by hand with this architecture.',
  ),
  LEASE_DENIED: kind(409, 4, true, 'Another job holds the device. Wait for it, or choose another device.'),
  LEASE_STALE: kind(
    409,
    4,
    false,
    'The lease ran out and the device went to another job. Start the job again.',
  ),
  SPEC_INVALID: kind(422, 2, false, 'Correct the fields named in the message.'),
  SPACE_INVALID: kind(422, 2, false, 'Correct the space file: docs/spaces.md describes each field.'),
  SPACE_INFEASIBLE: kind(
    422,
    6,
    false,
    'No architecture of the space meets the limits. Loosen a limit or widen the space.',
  ),
  ARCHITECTURE_INVALID: kind(422, 2, false, 'The architecture does not belong to the space it names.'),
  SUPERNET_INVALID: kind(
    422,
    1,
    false,
    'The weights do not belong to the space, or the file is damaged. Fetch or train them again.',
  ),
  DATASET_MISSING: kind(
    422,
    1,
    false,
    'Install the data set (Debian: apt-get install dataset-fashion-mnist) or name its folder.',
  ),
  DATASET_MISMATCH: kind(
    409,
    1,
    false,
    'Name the data set that the weights were trained on, or state `otherData: true`.',
  ),
  DATA_INVALID: kind(422, 1, false, 'Correct the file named in the message: docs/data.md says what is read.'),
  ONNX_INVALID: kind(422, 1, false, 'Check the file with onnx.checker, then export it again.'),
  EXTERNAL_DATA_MISSING: kind(
    422,
    1,
    false,
    'Give the model with the files beside it: name the .onnx file in its folder, or upload a zip archive of the folder.',
  ),
  TFLITE_INVALID: kind(422, 1, false, 'Convert the model again; the file may be damaged or incomplete.'),
  OPERATOR_UNSUPPORTED: kind(
    422,
    1,
    false,
    'Replace the operator named in the message, or export with another opset.',
  ),
  QUANTISATION_FAILED: kind(
    422,
    1,
    false,
    'Calibrate with more images like those the network will see; look at the layer named in the message.',
  ),
  SHAPE_UNKNOWN: kind(
    422,
    1,
    false,
    'Give open sizes with --dim NAME=SIZE or --shape INPUT=SIZES; the message names what is not known.',
  ),
  NETWORK_TOO_LARGE: kind(413, 1, false, 'Reduce the network, or raise the limit named in the message.'),
  PROVIDER_UNKNOWN: kind(422, 2, false, 'Choose one of the execution providers named in the message.'),
  PROVIDER_FALLBACK: kind(
    422,
    9,
    false,
    'Some operators would run on the CPU instead. Choose the cpu provider or change the network.',
  ),
  PROVIDER_SOFTWARE: kind(
    422,
    9,
    false,
    'A software adapter computes on the CPU: its results are right, its times say nothing of a GPU.',
  ),
  PROTOCOL_UNKNOWN: kind(422, 2, false, 'Choose one of the protocols named in the message.'),
  MEASUREMENT_INVALID: kind(
    422,
    5,
    true,
    'Quieten the machine and measure again, or use the protocol `careful`.',
  ),
  NETWORK_REJECTED: kind(422, 9, false, 'The runtime refused the network. Its own words are in the message.'),
  DEVICE_FAILED: kind(
    502,
    9,
    true,
    'The device or its runtime crashed. The network may be at fault: try another one.',
  ),
  FAILURE_UNEXPLAINED: kind(
    502,
    9,
    true,
    'Measure another network on the device: where that fails too, the device is at fault.',
  ),
  DEVICE_GONE: kind(
    409,
    9,
    true,
    'The device left. Plug it in or open its page again; studies go on with the other devices.',
  ),
  DEVICE_OUT_OF_MEMORY: kind(422, 9, false, 'The network needs more memory than the device allows.'),
  DEVICE_TIMEOUT: kind(
    504,
    124,
    false,
    'The network did not finish in time and was stopped. Raise the limit if it is meant to be slow.',
  ),
  LINE_TOO_SLOW: kind(
    504,
    9,
    true,
    'The line to the page or agent is the limit, not its device: use a faster line, or a smaller network.',
  ),
  PEER_STORAGE: kind(
    507,
    9,
    true,
    "Free space on the agent's disk, or let the agent write to its folder (--data); the message names both.",
  ),
  DEVICE_BUSY: kind(
    409,
    4,
    true,
    'Stop the other program (a second daemon, a serial monitor, ModemManager), then try again.',
  ),
  FIRMWARE_MISMATCH: kind(
    422,
    9,
    false,
    'Flash the firmware that belongs to this version of hilda: `hilda devices flash`.',
  ),
  FLASH_TOOL_MISSING: kind(
    422,
    9,
    false,
    'Install one of the tools named in the message, or write the image by hand as described there.',
  ),
  PAIRING_REFUSED: kind(
    401,
    8,
    false,
    'Ask for a fresh address with `hilda devices pair` (pages) or `hilda agent token` (agents).',
  ),
  ATTEMPTS_LIMITED: kind(
    429,
    8,
    true,
    'Wait as long as `details.retryAfterS` (Retry-After) says, then come with a fresh token.',
  ),
  KEY_REVOKED: kind(403, 8, false, 'The key was revoked. Pair again if this is meant to come back.'),
  DISPLACED: kind(
    409,
    4,
    false,
    'Another instance with the same key is connected. Stop it, or take over: `hilda agent join --take-over`.',
  ),
  VERSION_UNSUPPORTED: kind(409, 1, false, 'Install the same version of hilda on both sides.'),
  MESSAGE_INVALID: kind(
    400,
    1,
    false,
    'The peer broke the protocol and was disconnected. Its version may be another one.',
  ),
  ADB_FAILED: kind(
    502,
    9,
    true,
    'Check `adb devices`. Install adb (Debian: apt-get install adb) where it is missing.',
  ),
  RUNNER_OUTPUT_INVALID: kind(
    502,
    9,
    false,
    'Run the runner by hand on the phone: `details.output` holds its last lines. Its release may print otherwise.',
  ),
  RUNNER_MISMATCH: kind(
    422,
    2,
    false,
    'Give the runner a file of its own format, or choose a device with another runner: docs/devices.md.',
  ),
  LIMIT_BROKEN: kind(
    422,
    6,
    false,
    'The message names what broke. Accept it with `hilda bench baseline RUN`, or raise the limit in the suite.',
  ),
  BASELINE_MISMATCH: kind(
    409,
    2,
    false,
    'Compare with a run of the same networks on the same targets, or set a new one: `hilda bench baseline RUN`.',
  ),
  SELF_TEST_FAILED: kind(
    502,
    6,
    false,
    'The device computes something else than the reference: it was rolled back. Look at its hardware, or measure it alone.',
  ),
  PROMISE_BROKEN: kind(
    422,
    6,
    false,
    'Compare the device with its sister (`hilda devices compare`), or widen `margin` or `promise` of the rollout.',
  ),
  ROLLOUT_STOPPED: kind(
    409,
    6,
    false,
    'See which devices failed: `hilda rollout status`. Then resume it, or abort it to put back what went live.',
  ),
  JOURNAL_INVALID: kind(
    422,
    2,
    false,
    'Export it again with `hilda record export`: the file is no journal, is cut off, or was changed.',
  ),
  JOURNAL_MISMATCH: kind(
    409,
    1,
    false,
    'Replay it with the version, spaces and plug-ins that it was recorded with.',
  ),
  JOURNAL_INCOMPLETE: kind(
    409,
    1,
    false,
    'Only what ran under this version or a later one can be exported as a journal.',
  ),
  REPLAY_DIFFERS: kind(
    409,
    1,
    false,
    'The message names the first field that differs. `hilda replay --until` stops at a trial, `--keep` keeps the rows.',
  ),
  PREDICTOR_UNFIT: kind(409, 1, true, 'Measure more networks first.'),
  SCHEDULE_INVALID: kind(
    422,
    2,
    false,
    'Five fields: minute, hour, day of month, month, day of week; "0 3 * * *" is three each night.',
  ),
  PREDICTOR_UNKNOWN: kind(404, 3, false, 'Run `hilda predictor list` to see the predictors.'),
  PREDICTOR_CORRUPT: kind(409, 1, false, 'Train the predictor again: `hilda predictor train`.'),
  TARGET_MISMATCH: kind(409, 1, false, 'Train a predictor for that target: costs hold for one target only.'),
  SAMPLES_INVALID: kind(422, 2, false, 'Correct or leave out the rows named in the message.'),
  TABLE_INVALID: kind(422, 2, false, 'Correct the table: docs/predictors.md shows each format.'),
  TABLE_INCOMPLETE: kind(
    409,
    1,
    false,
    'Measure more networks of the space that holds them: `hilda lut build --samples`.',
  ),
  PLUGIN_MISSING: kind(
    422,
    3,
    false,
    'Install the package into one of the folders named in the message: docs/library.md shows how.',
  ),
  PLUGIN_UNSUPPORTED: kind(
    409,
    1,
    false,
    'Install the version of the plug-in that belongs to this version of hilda.',
  ),
  PLUGIN_CONFLICT: kind(409, 2, false, 'Name only one of the two: names of plug-ins are never replaced.'),
  PLUGIN_FAILED: kind(
    502,
    1,
    false,
    'The fault is in the plug-in: tell its author the message, and start without it meanwhile.',
  ),
  DAEMON_NOT_READY: kind(
    503,
    7,
    true,
    'It starts or stops, or a part of it does not answer: `details.notReady` says which. Ask again.',
  ),
  DAEMON_UNREACHABLE: kind(503, 7, true, 'Start the daemon with `hilda up`, or name it with --host.'),
  DAEMON_MISMATCH: kind(
    502,
    8,
    false,
    'Another machine may have this address now, or somebody stands in between. For a new command: `hilda agent token`.',
  ),
  IDENTITY_UNUSABLE: kind(
    500,
    1,
    false,
    'Restore the file from a backup. Without key.pem, certificates.pem and certificate.pem the daemon makes a new key, and every agent and page joins anew.',
  ),
  CLOCK_BEHIND: kind(
    500,
    1,
    true,
    "Set this machine's clock. If it is right, move certificates.pem away: the key stays, browsers accept a new certificate once.",
  ),
  PORT_IN_USE: kind(
    500,
    1,
    true,
    'Choose another port with --port, or stop the process that holds this one.',
  ),
  DISK_FULL: kind(
    507,
    1,
    true,
    'Free space on the disk of the data folder. What was stored before is intact.',
  ),
  DISK_FAILED: kind(500, 1, true, 'Check the disk of the data folder, and the log of the system.'),
  STORE_CORRUPT: kind(
    500,
    1,
    false,
    'The database was left as it is. Restore a backup, or recover it with sqlite3 .recover.',
  ),
  STORE_BUSY: kind(
    503,
    1,
    true,
    'Another daemon uses this data folder. Stop it, or choose another with --data.',
  ),
  STORE_NEWER: kind(500, 1, false, 'A newer hilda wrote this database. Install that version.'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorOptions {
  readonly hint?: string;
  readonly cause?: unknown;
  /** Facts for the machine: the field, the operator, the limit. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The one error class. `message` says what happened to what; the hint says what to do. */
export class HildaError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HildaError';
    this.code = code;
    this.hint = options.hint ?? errorTable[code].hint;
    this.details = options.details ?? {};
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }

  get httpStatus(): number {
    return errorTable[this.code].http;
  }

  get exitCode(): number {
    return errorTable[this.code].exit;
  }
}

/**
 * Turns any thrown value into a HildaError; an abort becomes INTERRUPTED, the unknown INTERNAL. The error of another copy of
 * this module, which a plug-in may bring along, keeps its code.
 */
export function asHildaError(thrown: unknown): HildaError {
  if (thrown instanceof HildaError) return thrown;
  if (isOfAnotherCopy(thrown))
    return new HildaError(thrown.code, thrown.message, {
      hint: thrown.hint,
      cause: thrown,
      details: thrown.details,
    });
  if (thrown instanceof Error && thrown.name === 'AbortError') {
    return new HildaError('INTERRUPTED', thrown.message, { cause: thrown });
  }
  return new HildaError('INTERNAL', thrown instanceof Error ? thrown.message : String(thrown), {
    cause: thrown,
  });
}

const isOfAnotherCopy = (thrown: unknown): thrown is HildaError => {
  if (!(thrown instanceof Error) || thrown.name !== 'HildaError') return false;
  const { code, hint, details } = thrown as Partial<HildaError>;
  return (
    typeof code === 'string' &&
    Object.hasOwn(errorTable, code) &&
    typeof hint === 'string' &&
    typeof details === 'object' &&
    details !== null
  );
};

/** What crosses a process or network boundary in place of an error. */
export interface ErrorDocument {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Numbers that JSON cannot hold are given as text in the details. */
export function toErrorDocument(error: HildaError): ErrorDocument {
  const { code, message, hint, retryable, details } = error;
  return { code, message, hint, retryable, details: asJson(details) as ErrorDocument['details'] };
}

function asJson(value: unknown): unknown {
  if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)))
    return String(value);
  if (Array.isArray(value)) return value.map(asJson);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asJson(item)]));
}

export function fromErrorDocument(document: ErrorDocument): HildaError {
  const code: ErrorCode = Object.hasOwn(errorTable, document.code) ? document.code : 'INTERNAL';
  return new HildaError(code, document.message, { hint: document.hint, details: document.details });
}
