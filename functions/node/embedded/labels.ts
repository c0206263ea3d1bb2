import { LayercastError } from '../../errors.ts'
import { MAX_LABEL_BYTES } from '../../image/label-names.ts'
import { quote } from '../../image/quote.ts'
import type { Labels } from '../ports.ts'

// In bytes, key and value together: containerd's own limit, so that what is stored here can be stored there.

/** Labels as they are stored: within containerd's limit (LABEL_TOO_LARGE beyond it), and without empty values. */
export function checkLabels(labels: Labels): Labels {
  const kept: Labels = {}
  for (const [key, value] of Object.entries(labels)) {
    const size = Buffer.byteLength(key) + Buffer.byteLength(value)
    if (size > MAX_LABEL_BYTES) {
      throw new LayercastError(
        'LABEL_TOO_LARGE',
        `label ${quote(key)} takes ${size} bytes, more than ${MAX_LABEL_BYTES}`,
        {
          fix: 'Shorten the value: key and value together may take 4096 bytes.',
          detail: { key, size, limit: MAX_LABEL_BYTES },
        },
      )
    }
    if (value !== '') kept[key] = value
  }
  return kept
}

/** What is stored after a change: the given labels set, the ones given as empty removed, the others kept. */
export function mergeLabels(stored: Labels, changes: Labels): Labels {
  return checkLabels({ ...stored, ...changes })
}
