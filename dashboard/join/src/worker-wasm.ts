import * as ort from 'onnxruntime-web/wasm';
import { serve } from './worker.js';

declare const ortFiles: string;

// The runtime's own threads load this same file, and must find nothing but the runtime in it.
if (!self.name.startsWith('em-pthread')) serve(ort, 'wasm', new URL(ortFiles, location.href).href);
