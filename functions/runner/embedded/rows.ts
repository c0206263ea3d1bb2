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
    labels: JSON.parse(String(row['labels'])) as Labels,
    createdAt: new Date(Number(row['created'])),
    updatedAt: new Date(Number(row['updated'])),
  }
}

export function encodeLabels(labels: Labels): string {
  return JSON.stringify(labels)
}
