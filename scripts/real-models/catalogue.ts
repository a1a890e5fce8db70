/** What a real model is fed with, and what its answers mean; by the name of its file. */
export interface Entry {
  readonly file: RegExp;
  /** Sizes for inputs whose shape the file leaves open beyond the batch, as `--shape` takes them. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly input: /** Crops of photographs with faces, `value` of a byte; `order` as the network lays pixels out. */
    | {
        readonly kind: 'face' | 'eye' | 'photo';
        readonly order: 'CHW' | 'HWC';
        readonly value: (byte: number, channel: number) => number;
        /** A further channel of ones. */
        readonly alpha?: number;
      }
    /** Drawn lines of text; `turned`: at times upside down. */
    | { readonly kind: 'text'; readonly value: (byte: number) => number; readonly turned?: boolean }
    /** Speech-like sound: as samples, as a mel spectrogram, or as embeddings of it. */
    | { readonly kind: 'audio' | 'mel' | 'embeddings'; readonly gain: number };
  /** Inputs beside the first, each element of it. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Outputs whose last axis holds classes: the int8 network must choose as the float one does. */
  readonly classes?: readonly string[];
  /** Answers a probability of one class: the side of one half that it lies on is its choice. */
  readonly threshold?: readonly string[];
}

const imagenet = (byte: number, channel: number): number => {
  const [mean = 0, deviation = 1] = [
    [0.485, 0.229],
    [0.456, 0.224],
    [0.406, 0.225],
  ][channel] as [number, number];
  return (byte / 255 - mean) / deviation;
};
const centred = (byte: number): number => (byte - 127) / 128;
const unit = (byte: number): number => byte / 255;
const signed = (byte: number): number => byte / 127.5 - 1;
const face = (value: (byte: number, channel: number) => number): Entry['input'] => ({
  kind: 'face',
  order: 'CHW',
  value,
});

/** How each package's own code prepares its inputs. */
const catalogue: readonly Entry[] = [
  {
    file: /fr_age|fr_gender/,
    input: face(imagenet),
    classes: ['prob_stage_1', 'prob_stage_2', 'prob_stage_3'],
  },
  { file: /fr_pose/, input: face(imagenet), classes: ['output', '617', '618'] },
  { file: /fr_detect/, input: { kind: 'photo', order: 'CHW', value: centred }, classes: ['scores'] },
  { file: /fr_expression/, input: face(unit), classes: ['output'] },
  { file: /fr_eye/, input: { kind: 'eye', order: 'CHW', value: unit }, classes: ['output'] },
  { file: /fr_feature/, input: face(centred) },
  { file: /fr_landmark/, input: face((byte) => byte / 256) },
  { file: /fr_liveness/, input: face((byte) => byte), classes: ['output'] },
  {
    file: /PP-OCRv4_det/,
    shapes: { x: [1, 3, 96, 160] },
    input: { kind: 'text', value: unit },
    // Each pixel is text or is not.
    threshold: ['*'],
  },
  {
    file: /PP-OCRv4_rec/,
    shapes: { x: [1, 3, 48, 160] },
    input: { kind: 'text', value: unit },
    classes: ['softmax_11.tmp_0'],
  },
  {
    file: /mobile_v2.0_cls/,
    shapes: { x: [1, 3, 48, 192] },
    input: { kind: 'text', value: signed, turned: true },
    classes: ['softmax_0.tmp_0'],
  },
  {
    file: /silero_vad_legacy|models\/silero_vad/,
    shapes: { input: [1, 1536] },
    input: { kind: 'audio', gain: 0.3 },
    constants: { sr: 16000, h: 0, c: 0 },
    threshold: ['output'],
  },
  {
    file: /silero_vad/,
    shapes: { input: [1, 512], state: [2, 1, 128] },
    input: { kind: 'audio', gain: 0.3 },
    constants: { sr: 16000, state: 0 },
    threshold: ['output'],
  },
  { file: /melspectrogram/, shapes: { input: [1, 1760] }, input: { kind: 'audio', gain: 8000 } },
  { file: /embedding_model/, input: { kind: 'mel', gain: 8000 } },
  { file: /blazeface|face_detection/, input: { kind: 'photo', order: 'HWC', value: signed } },
  { file: /mlsd/, input: { kind: 'photo', order: 'HWC', value: (byte) => byte, alpha: 1 } },
  { file: /timer_v0/, input: { kind: 'embeddings', gain: 8000 }, classes: ['*'] },
  // Every other one of these packages is a head on openWakeWord's embeddings.
  { file: /./, input: { kind: 'embeddings', gain: 8000 }, threshold: ['*'] },
];

export const entryFor = (path: string): Entry => catalogue.find(({ file }) => file.test(path)) as Entry;
