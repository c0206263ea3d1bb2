import { describe, expect, test } from 'vitest'
import type { ImageStore } from '../../../functions/node/ports.ts'
import { all } from '../../support/all.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage } from '../../support/images/image.ts'
import { codeOf, freshBackend, type OpenBackend } from './subject.ts'

const ONE = buildImage({ layers: [[file('one')]] }).manifest
const TWO = buildImage({ layers: [[file('two')]] }).manifest

/** What every keeper of image names does. */
export function imagesConformance(open: OpenBackend): void {
  describe('images', () => {
    const backend = freshBackend(open)
    const subject = (): ImageStore => backend().images
    const names = async (): Promise<string[]> => (await all(subject().list())).map((image) => image.name).sort()

    test('are kept under their names, with target and labels', async () => {
      const annotated = { ...ONE, annotations: { 'org.opencontainers.image.ref.name': 'one' } }
      const record = await subject().put('example.com/a:1', annotated, { a: 'b', empty: '' })
      expect(record).toMatchObject({ name: 'example.com/a:1', target: annotated, labels: { a: 'b' } })
      expect(record.labels).not.toHaveProperty('empty')
      expect(await subject().get('example.com/a:1')).toEqual(record)
      expect(Math.abs(record.createdAt.getTime() - Date.now())).toBeLessThan(60_000)
    })

    test('point to another target once they are put again, and keep when they were made and other labels', async () => {
      const first = await subject().put('example.com/a:1', ONE, { old: '1', both: '1' })
      const second = await subject().put('example.com/a:1', TWO, { new: '2', both: '2' })
      expect(second.target).toEqual(TWO)
      expect(second.labels).toEqual({ old: '1', new: '2', both: '2' })
      expect(second.createdAt).toEqual(first.createdAt)
      expect(second.updatedAt.getTime()).toBeGreaterThanOrEqual(first.updatedAt.getTime())
      expect(await names()).toEqual(['example.com/a:1'])
    })

    test('of several names are listed once each', async () => {
      await subject().put('example.com/a:1', ONE)
      await subject().put('example.com/a:2', ONE)
      await subject().put('example.com/b:1', TWO)
      expect(await names()).toEqual(['example.com/a:1', 'example.com/a:2', 'example.com/b:1'])
    })

    test('put by several at once end as one record', async () => {
      await Promise.all([ONE, TWO, ONE, TWO].map((target) => subject().put('example.com/a:1', target)))
      expect(await names()).toEqual(['example.com/a:1'])
    })

    test('are gone once removed', async () => {
      await subject().put('example.com/a:1', ONE)
      await subject().remove('example.com/a:1')
      expect(await codeOf(subject().get('example.com/a:1'))).toBe('IMAGE_NOT_FOUND')
      expect(await codeOf(subject().remove('example.com/a:1'))).toBe('IMAGE_NOT_FOUND')
      expect(await names()).toEqual([])
    })
  })
}
