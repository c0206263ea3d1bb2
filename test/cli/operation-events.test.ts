import { expect, test } from 'vitest'
import { tellOperation } from '../../functions/cli/verbs/shared/operation-events.ts'

test('warnings and retries are told on stderr, leases under --verbose alone', () => {
  const notes: string[] = []
  const details: string[] = []
  const context = {
    note: (line: string) => void notes.push(line),
    detail: (line: string) => void details.push(line),
  }
  tellOperation(context, { type: 'warning', code: 'LEASE_LEFT', detail: 'lease a stays' })
  tellOperation(context, { type: 'lease', id: 'a', step: 'created' })
  expect([notes, details]).toEqual([['layercast: warning: lease a stays (LEASE_LEFT)'], ['lease a created']])
})
