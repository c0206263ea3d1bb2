import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemFailure } from '../../functions/linux/failure.ts'
import { mountAll } from '../../functions/linux/mount.ts'

/** What a call throws. */
async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  throw new Error('the call succeeded')
}

describe.skipIf(process.getuid?.() !== 0)('on a full disk (as root)', () => {
  let directory: string
  let unmount: () => Promise<void>
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-full-'))
    const mounted = await mountAll([{ type: 'tmpfs', source: 'tmpfs', target: '', options: ['size=64k'] }], directory)
    unmount = mounted
  })
  afterAll(async () => {
    await unmount()
    await rm(directory, { recursive: true })
  })

  test("Node's error becomes one that says to make room", async () => {
    const failure = systemFailure(await thrownBy(() => writeFile(join(directory, 'file'), Buffer.alloc(1 << 20))))
    expect(failure).toMatchObject({ code: 'SYSTEM_CALL_FAILED', exit: 1, detail: { errno: 'ENOSPC' } })
    expect(failure?.fix).toContain('Make room')
    expect(failure?.message).toContain('ENOSPC')
  })

  test("SQLite's does too", async () => {
    await rm(join(directory, 'file'), { force: true })
    await mkdir(join(directory, 'database'))
    const database = new DatabaseSync(join(directory, 'database', 'db'))
    database.exec('create table blobs (bytes blob)')
    const error = await thrownBy(() => database.prepare('insert into blobs values (?)').run(new Uint8Array(1 << 20)))
    database.close()
    expect(systemFailure(error)).toMatchObject({ code: 'SYSTEM_CALL_FAILED', detail: { errno: 'ENOSPC' } })
  })
})

test.each([
  ['a fault of the program', () => (undefined as unknown as { x: number }).x],
  ['a missing file', () => Promise.reject(Object.assign(new Error('ENOENT: x'), { code: 'ENOENT' }))],
  ['a statement that SQLite does not understand', () => new DatabaseSync(':memory:').exec('no sql')],
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- it is what must be withstood
  ['what is no error', () => Promise.reject('text')],
])('%s is not put down to the system', async (_, call) => {
  expect(systemFailure(await thrownBy(call))).toBeUndefined()
})
