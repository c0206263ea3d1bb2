import { LayercastError } from '../../errors.ts'
import type { Labels } from '../ports.ts'
import type { Row } from './database.ts'

/** What every stored thing has; the columns are written by this backend alone. */
export interface Stored {
  labels: Labels
  createdAt: Date
  updatedAt: Date
}

export function storedOf(row: Row): Stored {
  return {
    labels: decoded<Labels>(row['labels']),
    createdAt: new Date(Number(row['created'])),
    updatedAt: new Date(Number(row['updated'])),
  }
}

/** What this backend wrote as JSON. DATABASE_DAMAGED where it is none any more: no page has a checksum. */
export function decoded<T>(text: unknown): T {
  try {
    return JSON.parse(String(text)) as T
  } catch (cause) {
    throw new LayercastError('DATABASE_DAMAGED', 'the embedded database is damaged: a row is not what was written', {
      cause,
      fix: "Put layercast.db aside and run 'layercast root rebuild', which makes it again from what lies under the root.",
    })
  }
}

export function encodeLabels(labels: Labels): string {
  return JSON.stringify(labels)
}
