/**
 * A program for tests, run as a process of its own: unpacks a made-up image of two layers into the root given, as any
 * runner does, beside others and after ones that were killed. With CRASH_AT=N it kills itself at its Nth change of the
 * disk or the database, and where there are fewer it says `done`.
 */
import fs from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { DatabaseSync, StatementSync } from 'node:sqlite'

const crashAt = Number(process.env['CRASH_AT'] ?? 0)
let steps = 0

type Callable = (this: unknown, ...values: unknown[]) => unknown
function count(owner: object, ...names: string[]): void {
  const functions = owner as Record<string, Callable>
  for (const name of names) {
    const original = functions[name]
    if (original === undefined) throw new Error(`there is no ${name}`)
    functions[name] = function counted(this: unknown, ...values) {
      if (++steps === crashAt) process.kill(process.pid, 'SIGKILL')
      return original.apply(this, values)
    }
  }
}

if (crashAt > 0) {
  count(fs, 'mkdirSync', 'renameSync', 'chmodSync', 'linkSync', 'writeSync', 'writeFileSync', 'rmSync')
  count(promises, 'open', 'rm')
  count(DatabaseSync.prototype, 'exec')
  count(StatementSync.prototype, 'run')
  syncBuiltinESMExports()
}

const { openEmbedded } = await import('../../../functions/node/embedded/backend.ts')
const { hasCode } = await import('../../../functions/errors.ts')
const { file } = await import('../../support/images/entries.ts')
const { chainOf, digestOf } = await import('../../support/images/image.ts')
const { writeTar } = await import('../../support/images/tar.ts')

const backend = await openEmbedded({ root: process.argv[2] ?? '' })
const lease = await backend.leases.create()
const held = backend.withLease(lease.id)
const snapshotter = held.snapshotter('overlayfs')
const tars = [0, 1].map((n) => writeTar([file(`file-${n}`, 'x'.repeat(2000))]))
const chain = chainOf(tars.map((tar) => digestOf(tar)))

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

for (const [n, tar] of tars.entries()) {
  const digest = digestOf(tar)
  await held.content.write({ digest, size: tar.length }, once(tar), { [`by-${process.pid}`]: 'yes' })
  const [name = '', parent = ''] = [chain[n], chain[n - 1]]
  const key = `extract-${process.pid}-${n}`
  try {
    const [mount] = await snapshotter.prepare(key, parent, { 'containerd.io/snapshot.ref': name })
    // The upper directory is written straight: what is tried here are the stores, not overlay.
    const upper = mount?.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length)
    fs.writeFileSync(join(upper ?? mount?.source ?? '', `file-${n}`), 'x')
  } catch (error) {
    if (hasCode(error, 'ALREADY_EXISTS')) continue
    throw error
  }
  try {
    await snapshotter.commit(name, key, { n: String(n) })
  } catch (error) {
    if (!hasCode(error, 'ALREADY_EXISTS')) throw error
    await snapshotter.remove(key)
  }
}
// Something is always taken away as well.
const [spare] = [writeTar([file(`spare-${process.pid}`)])]
if (spare) {
  await held.content.write({ digest: digestOf(spare), size: spare.length }, once(spare))
  await held.content.remove(digestOf(spare))
}
await snapshotter.view(`view-${process.pid}`, chain[1] ?? '', {})
await snapshotter.remove(`view-${process.pid}`)
const target = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf('manifest'), size: 8 }
await held.images.put('example.com/app:1', target, { a: 'b' })
await backend.leases.delete(lease.id)
await backend.close()
console.log('done')
