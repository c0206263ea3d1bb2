import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Snapshotter } from '../../../functions/node/ports.ts'
import { all } from '../../support/all.ts'
import { codeOf, freshBackend, kindOf, type OpenBackend } from './subject.ts'

const TARGET = 'containerd.io/snapshot.ref'

/** What every snapshotter does, as containerd's metadata store and its overlayfs snapshotter do it. Mounts nothing. */
export function snapshotterConformance(open: OpenBackend, name: string): void {
  describe(`snapshotter ${name}`, () => {
    const backend = freshBackend(open)
    const subject = (): Snapshotter => backend().snapshotter(name)

    /** Commits one empty layer for each name, on top of each other. */
    const commitChain = async (...names: string[]): Promise<void> => {
      let parent = ''
      for (const committed of names) {
        await subject().prepare(`key-${committed}`, parent, {})
        await subject().commit(committed, `key-${committed}`, {})
        parent = committed
      }
    }
    const names = async (): Promise<string[]> => (await all(subject().list())).map((info) => info.name).sort()

    describe('prepare', () => {
      test('makes an active snapshot with its labels and times, and mounts that can be asked for again', async () => {
        const before = Date.now() - 2000
        const mounts = await subject().prepare('key', '', { colour: 'red', empty: '' })
        expect(mounts.length).toBeGreaterThan(0)
        expect(await subject().mounts('key')).toEqual(mounts)
        const info = await subject().stat('key')
        expect(info).toMatchObject({ name: 'key', parent: '', kind: 'active', labels: { colour: 'red' } })
        expect(info.labels).not.toHaveProperty('empty')
        expect(info.createdAt.getTime()).toBeGreaterThan(before)
        expect(info.updatedAt.getTime()).toBeGreaterThanOrEqual(info.createdAt.getTime())
      })

      test('refuses a key that is taken, by an active, a committed or a view snapshot alike', async () => {
        await commitChain('base')
        await subject().prepare('active', '', {})
        await subject().view('view', 'base', {})
        for (const key of ['active', 'base', 'view']) {
          expect(await codeOf(subject().prepare(key, '', {}))).toBe('ALREADY_EXISTS')
          expect(await codeOf(subject().view(key, 'base', {}))).toBe('ALREADY_EXISTS')
        }
      })

      test('refuses a parent that is not there', async () => {
        expect(await codeOf(subject().prepare('key', 'nobody', {}))).toBe('SNAPSHOT_NOT_FOUND')
        expect(await names()).toEqual([])
      })

      test('refuses a parent that is not committed, and makes nothing', async () => {
        await commitChain('base')
        await subject().prepare('active', '', {})
        await subject().view('view', 'base', {})
        for (const parent of ['active', 'view']) {
          await subject()
            .prepare('key', parent, {})
            .then(
              () => expect.unreachable(),
              () => undefined,
            )
        }
        expect(await names()).toEqual(['active', 'base', 'view'])
      })

      test('answers ALREADY_EXISTS where its snapshot.ref is there, and leaves that as it was', async () => {
        await commitChain('chain')
        await subject().update('chain', { old: 'yes' })
        expect(await codeOf(subject().prepare('key', '', { [TARGET]: 'chain', new: 'yes' }))).toBe('ALREADY_EXISTS')
        expect((await subject().stat('chain')).labels).toEqual({ old: 'yes' })
        expect(await names()).toEqual(['chain'])
      })

      test('takes a snapshot.ref that is not there yet', async () => {
        await subject().prepare('key', '', { [TARGET]: 'chain' })
        await subject().commit('chain', 'key', { [TARGET]: 'chain' })
        expect((await subject().stat('chain')).labels).toEqual({ [TARGET]: 'chain' })
      })

      test('refuses a label of more than 4096 bytes, key and value together', async () => {
        await subject().prepare('fits', '', { k: 'x'.repeat(4095) })
        expect(await codeOf(subject().prepare('key', '', { k: 'x'.repeat(4096) }))).toBe('LABEL_TOO_LARGE')
        // Two bytes each in UTF-8.
        expect(await codeOf(subject().prepare('key', '', { k: 'ä'.repeat(2048) }))).toBe('LABEL_TOO_LARGE')
        expect(await names()).toEqual(['fits'])
      })

      test('gives one of two callers of the same key the snapshot, and the other ALREADY_EXISTS', async () => {
        const outcomes = await Promise.allSettled([1, 2].map(() => subject().prepare('key', '', {})))
        expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected'])
        const refused = outcomes.find((outcome) => outcome.status === 'rejected')
        expect(refused?.reason).toMatchObject({ code: 'ALREADY_EXISTS' })
        // Whoever won can go on.
        await subject().commit('done', 'key', {})
      })
    })

    describe('view', () => {
      test('is read-only, on a committed parent and on none', async () => {
        await commitChain('one', 'two')
        for (const parent of ['', 'one', 'two']) {
          const key = `view-of-${parent}`
          const mounts = await subject().view(key, parent, { a: 'b' })
          expect(await subject().stat(key)).toMatchObject({ kind: 'view', parent, labels: { a: 'b' } })
          expect(mounts.length).toBeGreaterThan(0)
          for (const mount of mounts) {
            const writable = mount.type === 'overlay' ? mount.options.some((o) => o.startsWith('upperdir=')) : false
            expect(writable || mount.options.includes('rw')).toBe(false)
          }
        }
      })

      test('cannot be committed', async () => {
        await commitChain('base')
        await subject().view('view', 'base', {})
        expect(await codeOf(subject().commit('name', 'view', {}))).toBe('FAILED_PRECONDITION')
        expect(await names()).toEqual(['base', 'view'])
      })
    })

    describe('commit', () => {
      test('renames the key to the name, and its labels replace those of prepare', async () => {
        await commitChain('base')
        await subject().prepare('key', 'base', { a: 'prepare', b: 'prepare' })
        await subject().commit('name', 'key', { a: 'commit', c: 'commit', empty: '' })
        expect(await codeOf(subject().stat('key'))).toBe('SNAPSHOT_NOT_FOUND')
        const info = await subject().stat('name')
        expect(info).toMatchObject({ kind: 'committed', parent: 'base' })
        expect(info.labels).toEqual({ a: 'commit', c: 'commit' })
      })

      test('frees the key for another snapshot', async () => {
        await commitChain('base')
        await subject().prepare('key-base', 'base', {})
        expect(await names()).toEqual(['base', 'key-base'])
      })

      test('refuses a name that is taken, and leaves the active snapshot to be removed', async () => {
        await commitChain('name')
        await subject().prepare('key', '', {})
        expect(await codeOf(subject().commit('name', 'key', {}))).toBe('ALREADY_EXISTS')
        expect((await subject().stat('key')).kind).toBe('active')
        await subject().remove('key')
        expect(await names()).toEqual(['name'])
      })

      test('says that the name is taken before it says that the key is not there', async () => {
        await commitChain('name')
        expect(await codeOf(subject().commit('name', 'key-name', {}))).toBe('ALREADY_EXISTS')
      })

      test('refuses its own key as the name', async () => {
        await subject().prepare('key', '', {})
        expect(await codeOf(subject().commit('key', 'key', {}))).toBe('ALREADY_EXISTS')
      })

      test('refuses a key that is not there, and one that is committed', async () => {
        await commitChain('base')
        expect(await codeOf(subject().commit('name', 'nobody', {}))).toBe('SNAPSHOT_NOT_FOUND')
        expect(await codeOf(subject().commit('name', 'base', {}))).toBe('FAILED_PRECONDITION')
        expect(await names()).toEqual(['base'])
      })

      test('lets one of several commits to one name win', async () => {
        const keys = ['a', 'b', 'c', 'd']
        for (const key of keys) await subject().prepare(key, '', {})
        const outcomes = await Promise.allSettled(keys.map((key) => subject().commit('name', key, { by: key })))
        const won = keys.filter((_, n) => outcomes[n]?.status === 'fulfilled')
        expect(won).toHaveLength(1)
        for (const outcome of outcomes.filter((each) => each.status === 'rejected')) {
          expect(outcome.reason).toMatchObject({ code: 'ALREADY_EXISTS' })
        }
        expect((await subject().stat('name')).labels).toEqual({ by: won[0] })
        expect(await names()).toEqual([...keys.filter((key) => key !== won[0]), 'name'])
      })
    })

    describe('mounts', () => {
      test('are refused of a committed snapshot and of one that is not there', async () => {
        await commitChain('base')
        expect(await codeOf(subject().mounts('base'))).toBe('FAILED_PRECONDITION')
        expect(await codeOf(subject().mounts('nobody'))).toBe('SNAPSHOT_NOT_FOUND')
      })
    })

    describe('remove', () => {
      test('takes an active, a view and a committed snapshot away', async () => {
        await commitChain('base')
        await subject().prepare('active', 'base', {})
        await subject().view('view', 'base', {})
        for (const key of ['active', 'view', 'base']) {
          await subject().remove(key)
          expect(await codeOf(subject().stat(key))).toBe('SNAPSHOT_NOT_FOUND')
        }
        expect(await names()).toEqual([])
      })

      test.each(['committed', 'active', 'view'] as const)('refuses while a child is there: %s', async (kind) => {
        await commitChain('base')
        if (kind === 'view') await subject().view('child', 'base', {})
        else await subject().prepare(kind === 'active' ? 'child' : 'key', 'base', {})
        if (kind === 'committed') await subject().commit('child', 'key', {})
        expect(await codeOf(subject().remove('base'))).toBe('FAILED_PRECONDITION')
        await subject().remove('child')
        await subject().remove('base')
        expect(await names()).toEqual([])
      })

      test('refuses what is not there', async () => {
        expect(await codeOf(subject().remove('nobody'))).toBe('SNAPSHOT_NOT_FOUND')
      })

      test('lets the name be used again, for another parent', async () => {
        await commitChain('one', 'two')
        await subject().remove('two')
        await subject().prepare('key', '', {})
        await subject().commit('two', 'key', {})
        expect((await subject().stat('two')).parent).toBe('')
        await subject().remove('one')
      })
    })

    describe('update', () => {
      test('sets the labels given, removes those given as empty, and leaves the others', async () => {
        await subject().prepare('key', '', {})
        await subject().commit('name', 'key', { keep: '1', change: '1', drop: '1' })
        const info = await subject().update('name', { change: '2', drop: '', add: '2' })
        expect(info).toMatchObject({ name: 'name', kind: 'committed', parent: '' })
        expect(info.labels).toEqual({ keep: '1', change: '2', add: '2' })
        expect((await subject().stat('name')).labels).toEqual(info.labels)
        expect(info.updatedAt.getTime()).toBeGreaterThanOrEqual(info.createdAt.getTime())
      })

      test('with no labels changes nothing', async () => {
        await subject().prepare('key', '', { keep: '1' })
        expect((await subject().update('key', {})).labels).toEqual({ keep: '1' })
      })

      test('refuses what is not there, and a label that is too large', async () => {
        await subject().prepare('key', '', { keep: '1' })
        expect(await codeOf(subject().update('nobody', { a: 'b' }))).toBe('SNAPSHOT_NOT_FOUND')
        expect(await codeOf(subject().update('key', { keep: '2', k: 'x'.repeat(4096) }))).toBe('LABEL_TOO_LARGE')
        expect((await subject().stat('key')).labels).toEqual({ keep: '1' })
      })

      test('of different labels at once loses none', async () => {
        await subject().prepare('key', '', {})
        const keys = Array.from({ length: 12 }, (_, n) => `label-${n}`)
        await Promise.all(keys.map((key) => subject().update('key', { [key]: 'yes' })))
        expect(Object.keys((await subject().stat('key')).labels).sort()).toEqual(keys.sort())
      })
    })

    describe('list', () => {
      test('gives every snapshot once, with its parent by the name that it has now', async () => {
        await commitChain('one', 'two')
        await subject().prepare('active', 'two', { a: 'b' })
        const listed = await all(subject().list())
        expect(
          listed
            .map(({ name: key, parent, kind }) => [key, parent, kind])
            .sort((a, b) => (String(a) < String(b) ? -1 : 1)),
        ).toEqual([
          ['active', 'two', 'active'],
          ['one', '', 'committed'],
          ['two', 'one', 'committed'],
        ])
      })

      test('gives more than one message holds', async () => {
        const wide = 'x'.repeat(3000)
        for (let n = 0; n < 150; n++) await subject().prepare(`key-${n}`, '', { wide })
        expect(await names()).toHaveLength(150)
      })
    })

    describe('usage', () => {
      test('of a committed snapshot stays, and is refused of one that is not there', async () => {
        await commitChain('base')
        const usage = await subject().usage('base')
        expect(usage.inodes).toBeGreaterThanOrEqual(0)
        expect(usage.size).toBeGreaterThanOrEqual(0)
        expect(await subject().usage('base')).toEqual(usage)
        expect(await codeOf(subject().usage('nobody'))).toBe('SNAPSHOT_NOT_FOUND')
      })
    })

    test('keeps the snapshots of a chain of 130, each on the one below', async () => {
      const chain = Array.from({ length: 130 }, (_, n) => `layer-${n}`)
      await commitChain(...chain)
      for (let n = chain.length - 1; n > 0; n--) {
        expect((await subject().stat(`layer-${n}`)).parent).toBe(`layer-${n - 1}`)
      }
      for (const key of chain.toReversed()) await subject().remove(key)
      expect(await names()).toEqual([])
    }, 60_000)

    test('makes nothing for a lease that is not there', async () => {
      const orphan = backend()
        .withLease(`nobody-${randomBytes(4).toString('hex')}`)
        .snapshotter(name)
      expect(await kindOf(orphan.prepare('key', '', {}))).toBe('notFound')
      expect(await names()).toEqual([])
    })
  })

  test(`a snapshotter that is not there answers SNAPSHOTTER_NOT_FOUND at the first call, and not before`, async () => {
    const backend = await open()
    try {
      const absent = backend.snapshotter('no-such-snapshotter')
      expect(absent.name).toBe('no-such-snapshotter')
      expect(await codeOf(absent.prepare('key', '', {}))).toBe('SNAPSHOTTER_NOT_FOUND')
      expect(await codeOf(absent.stat('key'))).toBe('SNAPSHOTTER_NOT_FOUND')
      expect(await codeOf(absent.capabilities())).toBe('SNAPSHOTTER_NOT_FOUND')
      expect(await codeOf(all(absent.list()))).toBe('SNAPSHOTTER_NOT_FOUND')
    } finally {
      await backend.close()
    }
  })

  test(`${name} is among the snapshotters, ready`, async () => {
    const backend = await open()
    try {
      const plugin = (await backend.snapshotters()).find((candidate) => candidate.name === name)
      expect(plugin).toBeDefined()
      expect(plugin?.error).toBeUndefined()
      expect(await backend.snapshotter(name).capabilities()).toEqual(new Set(plugin?.capabilities))
    } finally {
      await backend.close()
    }
  })
}
