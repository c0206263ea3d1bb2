/** Pages of a list by key: a page goes on after the last key of the one before, whatever came or went meanwhile. */
import { LayercastError } from '../../errors.ts'

export interface PageQuery {
  limit: number
  cursor?: string | undefined
}

/** The key to go on after; '' from the beginning. REQUEST_INVALID for what no page gave. */
export function afterKey(list: string, query: PageQuery): string {
  if (query.cursor === undefined) return ''
  const key = decodePart(query.cursor.split('.', 2)[1] ?? '')
  if (key === undefined || key === '' || query.cursor !== cursorAt(list, key)) {
    throw new LayercastError('REQUEST_INVALID', 'the cursor is not one of this list', {
      fix: 'Use the nextCursor of the page before, or none to begin.',
    })
  }
  return key
}

/** A page out of the rows that were read, one more than the limit where there are more. */
export function pageFrom<Row, Item>(
  list: string,
  query: PageQuery,
  rows: Row[],
  keyOf: (row: Row) => string,
  item: (row: Row) => Item,
) {
  const shown = rows.slice(0, query.limit)
  const last = shown.at(-1)
  const more = rows.length > query.limit && last !== undefined
  return { items: shown.map(item), ...(more ? { nextCursor: cursorAt(list, keyOf(last)) } : {}) }
}

// Names and ids are ASCII (functions/contract/fields.ts), so that btoa takes them.
function cursorAt(list: string, key: string): string {
  return `${btoa(list)}.${btoa(key)}`.replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_')
}

function decodePart(part: string): string | undefined {
  try {
    return atob(part.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    // Not base64: the caller is told that the cursor is none.
    return undefined
  }
}
