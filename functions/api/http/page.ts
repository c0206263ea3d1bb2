/**
 * Pages of a list that is sorted by a unique key. A page begins after the last key of the page before, so that items which come
 * or go between two calls make no other item appear twice or not at all.
 */
import { LayercastError } from '../../errors.ts'

interface PageQuery {
  limit: number
  cursor?: string | undefined
}

/**
 * One page of a list. `read` gives at most `limit` items from the one after a key on; '' is before every key. A cursor names
 * its list. REQUEST_INVALID for a cursor that no page of this list gave.
 */
export async function readPage<Item>(
  list: string,
  query: PageQuery,
  read: (after: string, limit: number) => Promise<Item[]>,
  keyOf: (item: Item) => string,
): Promise<{ items: Item[]; nextCursor?: string | undefined }> {
  // One item more than the page takes tells whether there is a next page.
  const found = await read(afterKey(list, query.cursor), query.limit + 1)
  const items = found.slice(0, query.limit)
  const last = items.at(-1)
  return {
    items,
    nextCursor: found.length > items.length && last !== undefined ? cursorAt(list, keyOf(last)) : undefined,
  }
}

function afterKey(list: string, cursor: string | undefined): string {
  if (cursor === undefined) return ''
  const key = decodePart(cursor.split('.', 2)[1] ?? '')
  if (key === undefined || key === '' || cursor !== cursorAt(list, key)) {
    throw new LayercastError('REQUEST_INVALID', 'the cursor is not one of this list', {
      fix: 'Use the nextCursor of the page before, or none to begin.',
    })
  }
  return key
}

// Names and ids are ASCII (functions/contract/fields.ts), as btoa needs.
function cursorAt(list: string, key: string): string {
  return `${btoa(list)}.${btoa(key)}`.replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_')
}

function decodePart(part: string): string | undefined {
  try {
    return atob(part.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    // Not base64: the caller is told that the cursor is not one of this list.
    return undefined
  }
}
