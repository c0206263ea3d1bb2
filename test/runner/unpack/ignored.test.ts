import { expect, test } from 'vitest'
import type { Ignored } from '../../../functions/layer/apply/types.ts'
import { IgnoredTally } from '../../../functions/runner/unpack/ignored.ts'
import type { LayerState, UnpackedLayer, UnpackEvent } from '../../../functions/runner/unpack/types.ts'

const device: Ignored = { path: 'dev/x', what: 'device node', reason: 'no devices here', here: true }
const attribute = (name: string): Ignored => ({
  path: 'x',
  what: `${name} attribute`,
  reason: 'no attributes here',
  here: true,
})

/** The warnings of a run in which the layers came to these states. */
function warningsOf(tally: IgnoredTally, states: readonly LayerState[]): UnpackEvent[] {
  const events: UnpackEvent[] = []
  tally.tell(new Map(states.map((state, index) => [index, { state } as UnpackedLayer])), (event) => events.push(event))
  return events
}
const warning = (detail: string): object => ({ type: 'warning', code: 'ENTRIES_IGNORED', detail })

test('one warning counts what all layers lack, by kind', () => {
  const tally = new IgnoredTally()
  const first = tally.begin(0)
  first(device)
  first(device)
  const second = tally.begin(1)
  second(device)
  second(attribute('security.capability'))
  expect(warningsOf(tally, ['applied', 'applied'])).toEqual([
    warning(
      '3 device nodes and 1 security.capability attribute could not be written: no devices here; no attributes here',
    ),
  ])
})

test('a layer that is made a second time counts once, and one that somebody else made not at all', () => {
  const tally = new IgnoredTally()
  for (let time = 0; time < 2; time++) tally.begin(0)(device)
  tally.begin(1)(device)
  expect(warningsOf(tally, ['applied', 'taken'])).toEqual([
    warning('1 device node could not be written: no devices here'),
  ])
  tally.begin(0)
  expect(warningsOf(tally, ['applied', 'taken'])).toEqual([])
})

test('what no layer may bring is no loss', () => {
  const tally = new IgnoredTally()
  tally.begin(0)({ ...attribute('trusted.overlay.opaque'), here: false })
  expect(warningsOf(tally, ['applied'])).toEqual([])
})

test('a layer of many kinds of attributes is counted in a bounded space', () => {
  const tally = new IgnoredTally()
  for (let layer = 0; layer < 3; layer++) {
    const ignored = tally.begin(layer)
    for (let n = 0; n < 1000; n++) ignored(attribute(`odd.${layer}.${n}`))
  }
  const [event] = warningsOf(tally, ['applied', 'applied', 'applied'])
  const { detail } = event as { detail: string }
  expect(detail).toContain('and 2992 other attributes could not be written')
  expect(detail.length).toBeLessThan(400)
})
