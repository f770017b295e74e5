// The backends that come with the package, plugged in by name. Each is made when first asked for.

import { autoBackend } from './auto.ts';
import { registerBackend } from './backend.ts';
import { cpuBackend } from './cpu/backend.ts';
import { referenceBackend } from './reference/reference.ts';
import { webgpuBackend } from './webgpu/backend.ts';

registerBackend('auto', autoBackend);
registerBackend('cpu', cpuBackend);
registerBackend('reference', referenceBackend);
registerBackend('webgpu', webgpuBackend);
