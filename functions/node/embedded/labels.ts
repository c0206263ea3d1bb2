/** Labels as containerd stores them: its limit of their size, and no empty values. */
import { LayercastError } from '../../errors.ts'
import { MAX_LABEL_BYTES } from '../../image/label-names.ts'
import { quote } from '../../image/quote.ts'
import type { Labels } from '../ports.ts'

/** Labels as they are stored: without empty values. LABEL_TOO_LARGE beyond containerd's limit. */
export function checkLabels(labels: Labels): Labels {
  const kept: Labels = {}
  for (const [key, value] of Object.entries(labels)) {
    const size = Buffer.byteLength(key) + Buffer.byteLength(value)
    if (size > MAX_LABEL_BYTES) {
      throw new LayercastError(
        'LABEL_TOO_LARGE',
        `label ${quote(key)} takes ${size} bytes, more than ${MAX_LABEL_BYTES}`,
        {
          fix: `Shorten the value: key and value together may take ${MAX_LABEL_BYTES} bytes.`,
          detail: { key, size, limit: MAX_LABEL_BYTES },
        },
      )
    }
    if (value !== '') kept[key] = value
  }
  return kept
}

/** The labels after a change: given labels are set, those with an empty value removed, the others kept. */
export function mergeLabels(stored: Labels, changes: Labels): Labels {
  return checkLabels({ ...stored, ...changes })
}
