import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LABEL } from '../../functions/image/label-names.ts'
import { diffPlans, plan } from '../../functions/library.ts'
import { diffLabels } from '../../functions/plan/diff.ts'
import { sampleDigest, sampleImage, sampleLayer } from '../image/samples.ts'

const make = (snapshotter: string, names: string[], reference = 'app') =>
  plan({ reference, snapshotter, ...sampleImage({ layers: names.map((name) => sampleLayer(name)) }) }).plan

test('equal plans do not differ', () => {
  expect(diffPlans(make('native', ['a', 'b']), make('native', ['a', 'b']))).toEqual([])
})

test('another snapshotter of the same kind differs in names only', () => {
  expect(diffPlans(make('native', ['a']), make('overlayfs', ['a']))).toEqual([
    { layer: undefined, field: 'snapshotter', from: 'native', to: 'overlayfs' },
    { layer: undefined, field: 'profile', from: 'native', to: 'overlayfs' },
  ])
})

test('another reference shows in each layer', () => {
  const changes = diffPlans(make('native', ['a', 'b']), make('native', ['a', 'b'], 'other'))
  const from = 'docker.io/library/app:latest'
  const to = 'docker.io/library/other:latest'
  const field = `labels["${LABEL.imageRef}"]`
  expect(changes).toEqual([
    { layer: undefined, field: 'reference', from, to },
    { layer: 0, field, from, to },
    { layer: 1, field, from, to },
  ])
})

test('a layer more shows as a layer that was not there', () => {
  const changes = diffPlans(make('native', ['a']), make('native', ['a', 'b'])).filter(({ layer }) => layer === 1)
  expect(changes.every(({ from }) => from === undefined)).toBe(true)
  expect(changes).toContainEqual({ layer: 1, field: 'parent', from: undefined, to: sampleDigest('diff 0') })
})

test('labels that are missing, extra and changed', () => {
  expect(diffLabels(3, { a: '1', b: '2' }, { b: '3', c: '4' })).toEqual([
    { layer: 3, field: 'labels["a"]', from: '1', to: undefined },
    { layer: 3, field: 'labels["b"]', from: '2', to: '3' },
    { layer: 3, field: 'labels["c"]', from: undefined, to: '4' },
  ])
})

test('a difference seen from the other side is the same one turned round', () => {
  const names = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 })
  const key = (change: object) => JSON.stringify(change)
  fc.assert(
    fc.property(names, names, (left, right) => {
      const [a, b] = [make('native', left), make('native', right)]
      const there = diffPlans(a, b).map(({ layer, field, from, to }) => key([layer, field, from, to]))
      const back = diffPlans(b, a).map(({ layer, field, from, to }) => key([layer, field, to, from]))
      expect(back.sort()).toEqual(there.sort())
    }),
  )
})
