/**
 * What the page reads of the daemon's answers, as /v1/openapi.json describes them in full. The page knows the daemon by
 * its public API alone, so these are its own words.
 */
export interface Device {
  readonly id: string;
  readonly label: string;
  readonly state: 'sighted' | 'adopted' | 'ignored' | 'quarantined';
  readonly reason: string | null;
  readonly tags: readonly string[];
  readonly present: boolean;
  readonly obstacle: string | null;
  readonly lease: { readonly holder: string } | null;
  readonly target: {
    readonly runtime: string;
    readonly runtimeVersion: string;
    readonly provider: string;
    readonly threads: number;
    readonly tier: string;
  };
}

export interface Invitation {
  readonly expiresMs: number;
  readonly addresses: readonly { readonly url: string; readonly note: string }[];
}

export interface Study {
  readonly id: string;
  readonly name: string;
  readonly spec: unknown;
  readonly state: 'running' | 'paused' | 'completed' | 'stopped' | 'failed';
  readonly reason: string | null;
  readonly createdMs: number;
}

export interface StudySummary {
  readonly record: Study;
  readonly budgetTrials: number;
  readonly complete: number;
  readonly infeasible: number;
  readonly failed: number;
  readonly frontSize: number;
  readonly hypervolume: number;
  /** `missing`: complete trials that lack it since it was away. */
  readonly devices: readonly {
    readonly deviceId: string;
    readonly measured: number;
    readonly missing: number;
  }[];
  readonly etaMs: number | null;
}

/** What an evaluated value rests on. */
export interface Evidence {
  /** 95 %; null where nothing tells it. */
  readonly ci: readonly [low: number, high: number] | null;
  readonly images: number | null;
  readonly compared: number | null;
  readonly source: string;
}

/** A front member beside one of its neighbours, in one metric. */
export interface Beside {
  readonly trialNumber: number;
  readonly metric: string;
  readonly difference: number;
  readonly ci: readonly [low: number, high: number];
  readonly basis: 'paired' | 'independent';
  readonly apart: boolean;
}

export interface Trial {
  readonly number: number;
  readonly state: 'asked' | 'complete' | 'infeasible' | 'failed';
  readonly told: boolean;
  readonly note: string;
  readonly reason: string | null;
  readonly values: Readonly<Record<string, number>>;
  readonly evidence: Readonly<Record<string, Evidence>>;
}

export interface Columns {
  readonly numbers: readonly number[];
  readonly columns: readonly { readonly metric: string; readonly values: readonly number[] }[];
}

export interface FrontRow {
  readonly trialNumber: number;
  readonly architectureId: string;
  readonly values: Readonly<Record<string, number>>;
  readonly evidence: Readonly<Record<string, Evidence>>;
  readonly beside: readonly Beside[];
  readonly latencyCiUs: Readonly<Record<string, readonly [low: number, high: number]>>;
  readonly macs: number;
  readonly parameters: number;
  readonly provenance: 'measured' | 'emulated' | 'predicted' | 'imported';
}

export interface Objective {
  readonly metric: string;
  readonly goal: 'min' | 'max';
}

export interface Fronts {
  readonly front: readonly FrontRow[];
  /** One a device, where a study has several. */
  readonly devices: readonly {
    readonly deviceId: string;
    readonly objectives: readonly Objective[];
    readonly front: readonly FrontRow[];
  }[];
}

export interface MatrixColumn {
  readonly deviceId: string;
  readonly speed: 'latencyUs' | 'cycles' | 'instructions';
  /** Studies: its search, and the one that measures every finalist on it; null until they are started. */
  readonly search: string | null;
  readonly finals: string | null;
}

export interface SpecialisationSummary {
  readonly id: string;
  readonly name: string;
  readonly state: 'running' | 'paused' | 'completed' | 'failed';
  readonly reason: string | null;
  readonly createdMs: number;
  readonly slack: number;
  /** Of each search, at most. */
  readonly finalists: number;
  readonly protocol: string | null;
  readonly columns: readonly MatrixColumn[];
}

export interface MatrixCell {
  /** In the column's unit. */
  readonly value: number | null;
  readonly ci: readonly [low: number, high: number] | null;
  readonly accuracy: number | null;
  readonly accuracyCi: readonly [low: number, high: number] | null;
  readonly provenance: FrontRow['provenance'] | null;
  /** Why it does not count. */
  readonly reason: string | null;
}

/** A winner, and what it costs on each device. */
export interface MatrixRow {
  readonly deviceId: string;
  /** Whose search found it. */
  readonly foundFor: string;
  readonly study: string;
  readonly trialNumber: number;
  readonly architectureId: string;
  readonly accuracy: number;
  readonly accuracyCi: MatrixCell['accuracyCi'];
  readonly cells: Readonly<Record<string, MatrixCell>>;
  readonly standing: 'fastest' | 'not apart' | 'provisional' | 'unknown';
}

export interface Specialisation extends SpecialisationSummary {
  /** Null until all searches have ended. */
  readonly level: number | null;
  readonly distinctFinalists: number | null;
  readonly rows: readonly MatrixRow[];
}

export interface Predictor {
  readonly id: string;
  readonly deviceId: string;
  readonly spaceId: string;
  readonly metric: string;
  readonly samples: number;
  readonly provenance: FrontRow['provenance'];
}

export interface PredictorDetail extends Predictor {
  readonly model: string;
  /** Null: an imported table that was never held against whole networks. */
  readonly score: { readonly spearman: number; readonly mape: number; readonly within10: number } | null;
  readonly drift: { readonly state: string };
  readonly cautions: readonly string[];
}

export interface PredictorFigures {
  readonly pairs: readonly { readonly measured: number; readonly predicted: number; readonly macs: number }[];
  /** `median`: logarithm of measured over predicted. */
  readonly residualsByType: readonly { readonly type: string; readonly n: number; readonly median: number }[];
  readonly reliability: readonly { readonly nominal: number; readonly actual: number }[];
  readonly learningCurve: readonly { readonly n: number; readonly mape: number }[];
}

export interface Problem {
  readonly code: string;
  readonly detail: string;
}
