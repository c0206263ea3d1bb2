/** `npm run demo`. */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { writeDockerArchive } from '../../support/images/write.ts'
import { layercast } from '../../support/layercast.ts'

const run = promisify(execFile)
const checkout = fileURLToPath(new URL('../../..', import.meta.url))
const isRoot = process.getuid?.() === 0

describe.skipIf(!isRoot)('npm run demo (as root)', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-demo-test-'))
  })
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true })
    await rm(join(checkout, '.demo'), { recursive: true, force: true })
  })

  const demo = (args: string[] = [], env: Record<string, string> = {}) =>
    run('npm', ['run', '--silent', 'demo', '--', ...args], { cwd: checkout, env: { ...process.env, ...env } })

  /** The value of a line of `name  value`. */
  const line = (text: string, name: string): string => new RegExp(`^${name} +(.*)$`, 'mu').exec(text)?.[1] ?? ''
  const mounts = async (): Promise<string[]> =>
    (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .filter((each) => /\.demo|layercast-demo-/u.test(each) && !each.includes(directory))

  test('makes an image of this machine ready, and shows its layers and its root file system', async () => {
    const { stdout, stderr } = await demo()
    expect(stderr).toBe('')
    const chainID = /chain ID (?<id>sha256:[a-f0-9]{64})/u.exec(line(stdout, 'verified'))?.groups?.['id'] ?? ''
    const rows = stdout
      .split('\n')
      .filter((each) => /^[a-f0-9]{12} +[\d.]+ [KM]?i?B +[a-f0-9]{12} +cri\.\* \(4\)/u.test(each))
    expect(rows.length).toBeGreaterThanOrEqual(3)
    expect(rows.at(-1)).toContain(chainID.slice(7, 19))
    expect(stdout).toMatch(/^worker +http:\/\/127\.0\.0\.1:\d+/mu)

    // The program, too, finds what the demo says is there.
    const root = join(checkout, '.demo', 'node')
    const listed = await layercast(['snapshot', 'ls', '--root', root, '-o', 'json'])
    const names = (JSON.parse(listed.stdout.toString()) as { name: string }[]).map(({ name }) => name)
    expect(names).toHaveLength(rows.length)
    expect(names).toContain(chainID)
    expect((await layercast(['verify', 'localhost/layercast/demo', '-s', 'overlayfs', '--root', root])).status).toBe(0)
    expect(await mounts()).toEqual([])
    expect(existsSync(join(checkout, '.demo', 'server'))).toBe(false)
  })

  test('the command that it prints shows the tree that the layers describe', async () => {
    const { stdout } = await demo()
    const command = line(stdout, 'look at it')
    const place = join(directory, 'root')
    // In a mount namespace of its own, so that nothing stays mounted when the test fails.
    const script = `mkdir -p ${place} && ${command.replace(/ \/mnt$/u, ` ${place}`)} && cd ${place} &&
      cat etc/motd && stat -c '%a %u:%g %F' tmp usr/bin/passwd && test -L bin && test usr/bin/gunzip -ef usr/bin/uncompress &&
      ls package/package.json && ! ls package/LICENSE usr/share/zoneinfo/Antarctica 2>/dev/null && chroot . /bin/sh -c 'echo it runs'`
    const shown = await run('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script])
    expect(shown.stdout.split('\n')).toEqual([
      'Made ready by layercast.',
      '1777 0:0 directory',
      '4755 0:0 regular file',
      'package/package.json',
      'it runs',
      '',
    ])
  })

  test('packs installed packages where the npm cache does not have them', async () => {
    const { stdout } = await demo([], { npm_config_cache: join(directory, 'empty-cache') })
    expect(stdout).toContain('hono ')
    expect(line(stdout, 'verified')).toContain('as planned')
  })

  test('takes an image that the user names', async () => {
    const image = smallImage('demo')
    const archive = join(directory, 'image.tar')
    await writeDockerArchive(image, archive, { tags: ['example.com/demo:7'] })
    const { stdout } = await demo([`docker-archive:${archive}`])
    expect(line(stdout, 'image')).toBe(`example.com/demo:7  (docker-archive:${archive})`)
    expect(line(stdout, 'verified')).toContain(image.chainIDs.at(-1))
  })

  test('takes the image that it made the last time, and leaves it where it is', async () => {
    const { stdout: first } = await demo()
    const { stdout: again } = await demo([`oci:${join(checkout, '.demo', 'image')}`])
    expect(line(again, 'verified')).toBe(line(first, 'verified'))
    await expect(demo(['oci:/nowhere'])).rejects.toMatchObject({ code: 3 })
    expect(existsSync(join(checkout, '.demo', 'image', 'index.json'))).toBe(true)
  })

  test('says what it takes where it is given something else', async () => {
    await expect(demo(['nginx'])).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('(USAGE)') as string,
    })
    await expect(demo(['oci:/nowhere'])).rejects.toMatchObject({
      code: 3,
      stderr: expect.stringContaining('(FILE_NOT_FOUND)') as string,
    })
  })
})
