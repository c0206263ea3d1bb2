import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/runner/embedded/index.ts'
import { collect } from '../conformance/subject.ts'
import { makeBase } from './root.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))

describe('an embedded root that is not there', () => {
  test('is an empty one, and stays away however it is looked at', async () => {
    const root = join(base, 'looked-at')
    const backend = await openEmbedded({ root })
    try {
      const snapshotter = backend.snapshotter('overlayfs')
      expect(await collect(backend.images.list())).toEqual([])
      expect(await collect(backend.content.list())).toEqual([])
      expect(await collect(backend.leases.list())).toEqual([])
      expect(await collect(snapshotter.list())).toEqual([])
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
      expect(await collect(looker.leases.list())).toEqual([])
      const { id } = await maker.leases.create()
      expect((await collect(looker.leases.list())).map((lease) => lease.id)).toEqual([id])
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
      expect((await collect(backend.snapshotter('overlayfs').list())).map((info) => info.name)).toEqual(['key'])
    } finally {
      await backend.close()
    }
  })

  test('is waited for where another process is about to make it', async () => {
    const root = join(base, 'at-once')
    mkdirSync(root)
    // The database while its maker has not come to write-ahead logging: held by a thread, since this one will wait.
    const maker = new Worker(
      `const { DatabaseSync } = require('node:sqlite')
       const { parentPort, workerData } = require('node:worker_threads')
       const db = new DatabaseSync(workerData)
       db.exec('begin immediate')
       parentPort.postMessage('held')
       setTimeout(() => db.close(), 300)`,
      { eval: true, workerData: join(root, 'layercast.db') },
    )
    const ended = new Promise((resolve) => {
      maker.on('exit', resolve)
    })
    await new Promise((resolve) => {
      maker.once('message', resolve)
    })
    const backend = await openEmbedded({ root })
    try {
      await backend.leases.create({ id: 'second' })
      expect((await collect(backend.leases.list())).map(({ id }) => id)).toEqual(['second'])
    } finally {
      await backend.close()
      await ended
    }
    const database = new DatabaseSync(join(root, 'layercast.db'), { readOnly: true })
    expect(database.prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'wal' })
    database.close()
  })
})
