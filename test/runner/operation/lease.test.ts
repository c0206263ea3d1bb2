import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Backend } from '../../../functions/node/ports.ts'
import { hasEnded, PROCESS_LABEL, processMark } from '../../../functions/node/process-mark.ts'
import { removalLease, underLease } from '../../../functions/runner/operation/lease.ts'
import { dropLeftBehind, removeUnfinished } from '../../../functions/runner/operation/left-behind.ts'
import type { UnpackEvent } from '../../../functions/runner/unpack/types.ts'
import { smallImage } from '../unpack/support/images.ts'
import { intercept } from '../unpack/support/intercept.ts'
import { sandbox, type Sandbox } from '../unpack/support/sandbox.ts'
import { snapshotNames } from '../unpack/support/stores.ts'

let box: Sandbox
let backend: Backend
const image = smallImage()
beforeEach(async () => {
  box = await sandbox(image)
  backend = box.backend
})
afterEach(() => box.close())

const leaseIDs = async () => {
  const ids: string[] = []
  for await (const lease of backend.leases.list()) ids.push(lease.id)
  return ids
}
const options = (events: UnpackEvent[] = []) => ({
  purpose: 'test',
  signal: new AbortController().signal,
  emit: (event: UnpackEvent) => void events.push(event),
})

/** The mark of a process that has ended. */
async function deadMark(): Promise<string> {
  const child = spawn('sleep', ['30'])
  const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8')
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  child.kill('SIGKILL')
  await once(child, 'exit')
  const [boot, namespace] = (processMark() ?? '').split('/')
  return `${boot}/${namespace}/${child.pid}/${start}`
}

describe('a lease', () => {
  test('is there while the work runs and gone when it has ended, well or not', async () => {
    const events: UnpackEvent[] = []
    const seen = await underLease(backend, options(events), async () => leaseIDs())
    expect(seen).toHaveLength(1)
    expect(await leaseIDs()).toEqual([])
    await expect(underLease(backend, options(), () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await leaseIDs()).toEqual([])
    expect(events.map((event) => event.type === 'lease' && event.step)).toEqual(['created', 'deleted'])
  })

  test('says whose it is, and that its owner lives', async () => {
    await underLease(backend, options(), async () => {
      for await (const { labels } of backend.leases.list()) {
        expect(labels[PROCESS_LABEL]).toBe(processMark())
        expect(hasEnded(labels[PROCESS_LABEL] ?? '')).toBe(false)
      }
      await dropLeftBehind(backend, () => undefined)
      expect(await leaseIDs()).toHaveLength(1)
    })
  })

  test('of a killed runner goes, with what it had half done; those of others stay', async () => {
    const mine = await backend.leases.create({ labels: { [PROCESS_LABEL]: await deadMark() } })
    const theirs = await backend.leases.create()
    await backend.withLease(mine.id).snapshotter('overlayfs').prepare('extract-1-abcd x', '', {})
    await backend.withLease(theirs.id).snapshotter('overlayfs').prepare('extract-2-abcd x', '', {})
    await dropLeftBehind(backend, () => undefined)
    expect(await leaseIDs()).toEqual([theirs.id])
    expect(await snapshotNames(backend, 'overlayfs')).toEqual(['extract-2-abcd x'])
  })
})

describe('what a killed run had not committed', () => {
  const held = async (id: string) => {
    const leased = backend.withLease(id).snapshotter('overlayfs')
    await leased.prepare('base active', '', {})
    await leased.commit('base', 'base active', {})
    await leased.view('layercast-verify-1 base', 'base', {})
    await leased.prepare('extract-1-abcd x', 'base', {})
    await leased.prepare("someone's", 'base', {})
  }

  test('is removed by its name, before the lease that held it goes', async () => {
    const { id } = await backend.leases.create({ labels: { [PROCESS_LABEL]: await deadMark() } })
    await held(id)
    const events: string[] = []
    const watched = intercept(backend, async ({ name, args }, goOn) => {
      if (name === 'snapshotter.remove' || name === 'leases.delete') events.push(`${name} ${String(args[0])}`)
      return goOn()
    })
    await dropLeftBehind(watched, () => undefined)
    expect(events.toSorted()).toEqual([
      `leases.delete ${id}`,
      'snapshotter.remove extract-1-abcd x',
      'snapshotter.remove layercast-verify-1 base',
    ])
    expect(events.at(-1)).toBe(`leases.delete ${id}`)
  })

  test('is removed before others are, and the lease with the rest stays until the end', async () => {
    const { id } = await backend.leases.create({ labels: { [PROCESS_LABEL]: await deadMark() } })
    await held(id)
    await removeUnfinished(backend, () => undefined)
    expect(await snapshotNames(backend, 'overlayfs')).toEqual(['base', "someone's"])
    expect(await leaseIDs()).toEqual([id])
  })

  test('of a removal stays, since it was not made by it', async () => {
    const { purpose } = removalLease({ signal: new AbortController().signal, emit: () => undefined })
    const id = `layercast-${purpose}-1-abcd`
    await backend.leases.create({ id, labels: { [PROCESS_LABEL]: await deadMark() } })
    await held(id)
    await removeUnfinished(backend, () => undefined)
    expect(await snapshotNames(backend, 'overlayfs')).toHaveLength(4)
  })
})

describe('an owner is gone', () => {
  test('when its process has ended, or another has its number', async () => {
    expect(hasEnded(await deadMark())).toBe(true)
    const [boot, namespace, pid, start] = (processMark() ?? '').split('/')
    expect(hasEnded(`${boot}/${namespace}/${pid}/${start}`)).toBe(false)
    expect(hasEnded(`${boot}/${namespace}/${pid}/${Number(start) + 1}`)).toBe(true)
  })

  test('never for sure on another boot, in another pid namespace, or where the mark is not one', async () => {
    const [boot, namespace, pid, start] = (await deadMark()).split('/')
    for (const mark of [
      `other-boot/${namespace}/${pid}/${start}`,
      `${boot}/1/${pid}/${start}`,
      `${boot}/${namespace}/0/${start}`,
      `${boot}/${namespace}/-1/${start}`,
      `${boot}/${namespace}/${pid}`,
      `${boot}/${namespace}/${pid}/${start}/more`,
      `${boot}/${namespace}/../1/${start}`,
      '',
    ]) {
      expect({ mark, gone: hasEnded(mark) }).toEqual({ mark, gone: false })
    }
  })
})
