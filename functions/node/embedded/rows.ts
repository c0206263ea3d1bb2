/** The columns that several tables have. */
import { LayercastError } from '../../errors.ts'
import type { Labels } from '../ports.ts'
import type { Row } from './database.ts'

/** What every blob, image and snapshot has. */
export interface StoredFields {
  labels: Labels
  createdAt: Date
  updatedAt: Date
}

/** The labels and times of a row. */
export function storedOf(row: Row): StoredFields {
  return {
    labels: decoded<Labels>(row['labels']),
    createdAt: new Date(Number(row['created'])),
    updatedAt: new Date(Number(row['updated'])),
  }
}

/** A column with JSON. DATABASE_DAMAGED where it is not valid: SQLite's pages have no checksums. */
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

/** Labels as the column has them. */
export function encodeLabels(labels: Labels): string {
  return JSON.stringify(labels)
}
