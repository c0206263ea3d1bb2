import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { all } from '../../support/all.ts'
import { faults, make, makeBase } from './root.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))

describe('an embedded root that is not there', () => {
  test('is an empty one, and stays away however it is looked at', async () => {
    const root = join(base, 'looked-at')
    const backend = await openEmbedded({ root })
    try {
      const snapshotter = backend.snapshotter('overlayfs')
      expect(await all(backend.images.list())).toEqual([])
      expect(await all(backend.content.list())).toEqual([])
      expect(await all(backend.leases.list())).toEqual([])
      expect(await all(snapshotter.list())).toEqual([])
      await expect(snapshotter.stat('sha256:nothing')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' })
      await expect(backend.images.get('docker.io/library/none:1')).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
    } finally {
      await backend.close()
    }
    expect(existsSync(root)).toBe(false)
  })

  test('is made by the first change, which others that looked before then see', async () => {
    const root = join(base, 'made')
    const [looker, maker] = [await openEmbedded({ root }), await openEmbedded({ root })]
    try {
      expect(await all(looker.leases.list())).toEqual([])
      const { id } = await maker.leases.create()
      expect((await all(looker.leases.list())).map((lease) => lease.id)).toEqual([id])
    } finally {
      await Promise.all([looker.close(), maker.close()])
    }
  })

  test('where it cannot be made is SYSTEM_CALL_FAILED that names it', async () => {
    // Not even root makes directories in sysfs.
    const root = '/sys/kernel/layercast'
    const backend = await openEmbedded({ root })
    try {
      await expect(backend.leases.create()).rejects.toMatchObject({
        code: 'SYSTEM_CALL_FAILED',
        message: expect.stringContaining(root) as string,
      })
    } finally {
      await backend.close()
    }
  })

  test('is whole also where a killed process made its directory and nothing in it', async () => {
    const root = join(base, 'begun')
    mkdirSync(root)
    const backend = await openEmbedded({ root })
    try {
      await backend.leases.create({ id: 'first' })
      await backend.snapshotter('overlayfs').prepare('key', '', {})
      expect((await all(backend.snapshotter('overlayfs').list())).map((info) => info.name)).toEqual(['key'])
    } finally {
      await backend.close()
    }
  })

  test('is made once where several make it at the same time', async () => {
    const root = join(base, 'at-once')
    const backends = await Promise.all(Array.from({ length: 5 }, () => openEmbedded({ root })))
    try {
      await Promise.all(backends.map((backend, n) => backend.leases.create({ id: `lease-${n}` })))
      for (const backend of backends) expect(await all(backend.leases.list())).toHaveLength(5)
    } finally {
      for (const backend of backends) await backend.close()
    }
    expect(readdirSync(join(root, 'ingest'))).toEqual([])
  })

  test('of before there were marks, begun by a process that was killed, is made whole', async () => {
    const root = join(base, 'begun-before')
    for (const name of ['ingest', 'blobs', 'snapshots', 'trash']) mkdirSync(join(root, name), { recursive: true })
    await make(root)
    expect(faults(root)).toEqual([])
  })

  test('waits where another process holds the write lock', async () => {
    const root = join(base, 'held')
    await make(root)
    const holder = new Worker(
      `const { DatabaseSync } = require('node:sqlite')
       const { parentPort, workerData } = require('node:worker_threads')
       const db = new DatabaseSync(workerData)
       db.exec('begin immediate')
       parentPort.postMessage('held')
       setTimeout(() => db.close(), 300)`,
      { eval: true, workerData: join(root, 'layercast.db') },
    )
    const ended = new Promise((resolve) => {
      holder.on('exit', resolve)
    })
    await new Promise((resolve) => {
      holder.once('message', resolve)
    })
    const backend = await openEmbedded({ root })
    try {
      await backend.leases.create({ id: 'second' })
      expect((await all(backend.leases.list())).map(({ id }) => id)).toEqual(['second'])
    } finally {
      await backend.close()
      await ended
    }
  })
})
