/** What the machine refuses (a full disk, no right to write, nowhere to print) is told as such, and not as a fault of the program. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mountAll, type Unmount } from '../../../functions/linux/mount.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { errorOf, layercast, LAUNCHER } from '../../support/layercast.ts'

const run = promisify(execFile)

describe.skipIf(process.getuid?.() !== 0)('layercast (as root)', () => {
  let directory: string
  let spec: string
  const unmounts: Unmount[] = []
  /** A file system of its own, of so many KiB. */
  const fileSystem = async (name: string, kib: number): Promise<string> => {
    const path = join(directory, name)
    await mkdir(path)
    unmounts.push(await mountAll([{ type: 'tmpfs', source: 'tmpfs', target: '', options: [`size=${kib}k`] }], path))
    return path
  }
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-trouble-'))
    const image = buildImage({ layers: [[file('big', Buffer.alloc(3 << 20, 'some text '))]], compression: 'none' })
    await writeOciLayout(image, join(directory, 'image'))
    spec = `oci:${join(directory, 'image')}`
  })
  afterAll(async () => {
    for (const unmount of unmounts.toReversed()) await unmount()
    await rm(directory, { recursive: true, force: true })
  })

  test.each([
    ['its blobs', 2 << 10],
    ['its snapshots', 4 << 10],
  ])('says to make room where a disk is too small for %s, and ends well once there is some', async (what, kib) => {
    const place = await fileSystem(what.replaceAll(' ', '-'), kib)
    const unpacking = ['unpack', spec, '-s', 'overlayfs', '--root', join(place, 'root'), '-o', 'json']
    const full = await layercast(unpacking)
    expect(errorOf(full)).toMatchObject({ code: 'SYSTEM_CALL_FAILED', exit: 1 })
    expect(errorOf(full).fix?.toLowerCase()).toContain('make room')
    await run('mount', ['-o', 'remount,size=32m', place])
    expect(await layercast(unpacking)).toMatchObject({ status: 0, stderr: '' })
  })

  test('names the directory that it cannot write, whoever wants it', async () => {
    const place = await fileSystem('read-only', 64)
    await run('mount', ['-o', 'remount,ro', place])
    const root = join(place, 'root')
    for (const args of [
      ['unpack', spec, '-s', 'overlayfs', '--root', root],
      ['serve', '--data', root, '--port', '0'],
      [
        'agent',
        '--server',
        'http://127.0.0.1:9',
        '--join-token',
        'x',
        '--once',
        '--state',
        root,
        '--root',
        join(directory, 'node'),
      ],
    ]) {
      const failure = errorOf(await layercast([...args, '-o', 'json']))
      expect({ verb: args[0], ...failure }).toMatchObject({ verb: args[0], code: 'SYSTEM_CALL_FAILED', exit: 1 })
      expect(failure.message).toContain(root)
    }
  })

  test('makes nothing where it only looks', async () => {
    const root = join(directory, 'looked-at')
    const told = `note: ${root} is not there yet\n`
    for (const [args, stderr] of [
      [['image', 'ls'], told],
      [['snapshot', 'tree'], told],
      [['unpack', spec, '-s', 'overlayfs', '--dry-run'], ''],
      [['plan', spec, '-s', 'overlayfs'], ''],
    ] as const) {
      const ran = await layercast([...args, '--root', root])
      expect({ args, ...ran, made: existsSync(root) }).toMatchObject({ args, status: 0, stderr, made: false })
    }
    expect((await layercast(['unpack', 'none:1', '-s', 'overlayfs', '--root', root])).status).toBe(3)
    expect(existsSync(root)).toBe(false)
  })

  test.each(['table', 'json'])('says so where its output has no room, as %s', async (format) => {
    const command = `exec ${LAUNCHER} image ls --root ${join(directory, 'none')} -o ${format} >/dev/full`
    const failure: unknown = await run('sh', ['-c', command]).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 1, stderr: expect.stringContaining('SYSTEM_CALL_FAILED') as string })
    // The note that the root is not there yet, the error, and its fix.
    expect((failure as { stderr: string }).stderr.trimEnd().split('\n')).toHaveLength(format === 'json' ? 1 : 3)
  })
})
