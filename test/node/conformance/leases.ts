import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Backend, Lease, Leases } from '../../../functions/node/ports.ts'
import { all } from '../../support/all.ts'
import { codeOf, type OpenBackend } from './subject.ts'

const EXPIRE = 'containerd.io/gc.expire'

const secondsLeft = ({ labels }: Lease): number => (Date.parse(labels[EXPIRE] ?? '') - Date.now()) / 1000

/** What every keeper of leases does. */
export function leasesConformance(open: OpenBackend): void {
  describe('leases', () => {
    let backend: Backend | undefined
    beforeEach(async () => {
      backend = await open()
    })
    afterEach(async () => {
      for await (const { id } of subject().list()) await subject().delete(id)
      await backend?.close()
    })
    const subject = (): Leases => {
      if (backend === undefined) throw new Error('no test is running')
      return backend.leases
    }
    const ids = async (): Promise<string[]> => (await all(subject().list())).map((lease) => lease.id).sort()

    test('are there once created, and gone once deleted', async () => {
      const lease = await subject().create({ labels: { a: 'b' } })
      const [listed] = await all(subject().list())
      expect(listed).toEqual(lease)
      expect(lease.labels).toMatchObject({ a: 'b' })
      expect(Math.abs(lease.createdAt.getTime() - Date.now())).toBeLessThan(60_000)
      await subject().delete(lease.id)
      expect(await ids()).toEqual([])
    })

    test('have ids of their own', async () => {
      const made = await Promise.all(Array.from({ length: 20 }, () => subject().create()))
      expect(new Set(made.map((lease) => lease.id)).size).toBe(20)
      expect(await ids()).toHaveLength(20)
    })

    test('expire after a day, or when they are told to, and say when', async () => {
      expect(Math.abs(secondsLeft(await subject().create()) - 86_400)).toBeLessThan(10)
      expect(Math.abs(secondsLeft(await subject().create({ expiresInSeconds: 600 })) - 600)).toBeLessThan(10)
    })

    test('take the id that they are given, once', async () => {
      const lease = await subject().create({ id: 'mine' })
      expect(lease.id).toBe('mine')
      expect(await codeOf(subject().create({ id: 'mine' }))).toBe('ALREADY_EXISTS')
      await subject().delete('mine')
      await subject().create({ id: 'mine' })
      expect(await ids()).toEqual(['mine'])
    })

    test('hold snapshots that are there already, which then outlive the lease that they were made under', async () => {
      if (backend === undefined) throw new Error('no test is running')
      const [first, second] = [await subject().create(), await subject().create()]
      await backend.withLease(first.id).snapshotter('overlayfs').prepare('held', '', {})
      await subject().hold(second.id, 'overlayfs', ['held'])
      for (const { id } of [first, second])
        expect(await subject().held(id)).toEqual([{ snapshotter: 'overlayfs', key: 'held' }])
      await subject().delete(first.id, { sync: true })
      const names = async () => (await all(backend!.snapshotter('overlayfs').list())).map(({ name }) => name)
      expect(await names()).toContain('held')
      await subject().delete(second.id, { sync: true })
      expect(await names()).not.toContain('held')
      expect(await codeOf(subject().hold('none', 'overlayfs', ['held']))).toBe('NOT_FOUND')
      expect(await codeOf(subject().held('none'))).toBe('NOT_FOUND')
    })

    test('cannot be deleted twice', async () => {
      const { id } = await subject().create()
      await subject().delete(id)
      expect(await codeOf(subject().delete(id))).toBe('NOT_FOUND')
    })
  })
}
