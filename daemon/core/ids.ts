declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** SHA-256 of an architecture's canonical JSON, its space included. */
export type ArchitectureId = Branded<'ArchitectureId'>;
/** Stable name of one physical device, e.g. `cpu-3f2a91`. */
export type DeviceId = Branded<'DeviceId'>;
export type StudyId = Branded<'StudyId'>;
export type SpecialisationId = Branded<'SpecialisationId'>;
export type PredictorId = Branded<'PredictorId'>;
export type JobId = Branded<'JobId'>;
export type AlertId = Branded<'AlertId'>;
export type MuteId = Branded<'MuteId'>;
export type WebhookId = Branded<'WebhookId'>;
export type DeliveryId = Branded<'DeliveryId'>;
export type MeasurementId = Branded<'MeasurementId'>;
/** SHA-256 of stored bytes. */
export type BlobId = Branded<'BlobId'>;
