import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Mount } from '../../functions/linux/mount-list.ts'
import { isManaged, resolveMount } from '../../functions/linux/mount-manager.ts'
import { recoverMounts, withMounted } from '../../functions/linux/mounted.ts'

const mount = (type: string, source: string, options: string[] = []): Mount => ({ type, source, target: '', options })
const before = ['/p/0', '/p/1', '/p/2'].map((point, n) => ({ mount: mount('erofs', `/layer-${n}`), point }))
const refused = expect.objectContaining({ code: 'FAILED_PRECONDITION' })
const mkfs = existsSync('/usr/bin/mkfs.erofs') && process.getuid?.() === 0

describe('templates', () => {
  test.each([
    ['lowerdir={{ mount 0 }}', 'lowerdir=/p/0'],
    ['lowerdir={{ overlay 0 2 }}', 'lowerdir=/p/0:/p/1:/p/2'],
    ['lowerdir={{ overlay 2 1 }}', 'lowerdir=/p/2:/p/1'],
    ['lowerdir={{overlay 1 1}}', 'lowerdir=/p/1'],
    ['upperdir={{ mount 1 }}/upper,{{ source 2 }}', 'upperdir=/p/1/upper,/layer-2'],
    ['plain', 'plain'],
  ])('%s', (option, expected) => {
    expect(resolveMount(mount('format/mkdir/overlay', 'overlay', [option]), before)).toEqual(
      mount('overlay', 'overlay', [expected]),
    )
  })

  test('the source is filled in too, and nothing without the prefix', () => {
    expect(resolveMount(mount('format/bind', '{{ mount 1 }}/x', ['rbind']), before).source).toBe('/p/1/x')
    expect(resolveMount(mount('mkdir/bind', '{{ mount 1 }}/x'), before).source).toBe('{{ mount 1 }}/x')
  })

  test.each([
    'lowerdir={{ mount 3 }}',
    'lowerdir={{ overlay 1 3 }}',
    'lowerdir={{ overlay 0 4000000000 }}',
    'lowerdir={{ mount }}',
    'lowerdir={{ mount 0 1 }}',
    'lowerdir={{ mount -1 }}',
    'lowerdir={{ printf "%s" 0 }}',
    'lowerdir={{ call 0 }}',
  ])('%s is refused, not passed on to the kernel', (option) => {
    expect(() => resolveMount(mount('format/overlay', 'overlay', [option]), before)).toThrow(refused)
  })

  test('a file system to be made is for containerd', () => {
    expect(() => resolveMount(mount('mkfs/ext4', '/x', ['loop']), [])).toThrow(refused)
  })

  test('a list without prefixes is for mount(2) as it stands', () => {
    expect([isManaged([mount('overlay', 'overlay')]), isManaged([mount('format/overlay', 'overlay')])]).toEqual([
      false,
      true,
    ])
  })
})

describe.skipIf(!mkfs)('a list as the erofs snapshotter answers it', () => {
  let directory: string
  beforeEach(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'layercast-managed-')))
    mkdirSync(join(directory, 'places'), { mode: 0o700 })
  })
  afterEach(() => {
    for (const point of mounted().toReversed()) execFileSync('umount', ['-l', point])
    rmSync(directory, { recursive: true })
  })
  const mounted = (): string[] =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((point) => point.startsWith(`${directory}/`))
  const options = (): { directory: string } => ({ directory: join(directory, 'places') })

  /** An erofs image of these files, each with its own name as content. */
  function layer(name: string, files: string[]): Mount {
    const tree = join(directory, name)
    mkdirSync(tree)
    for (const file of files) {
      mkdirSync(dirname(join(tree, file)), { recursive: true })
      writeFileSync(join(tree, file), name)
    }
    execFileSync('mkfs.erofs', ['--quiet', `${tree}.erofs`, tree])
    return mount('erofs', `${tree}.erofs`, ['ro', 'loop'])
  }
  const list = (): Mount[] => [
    layer('high', ['both', 'high']),
    layer('low', ['both', 'low']),
    mount('format/mkdir/overlay', 'overlay', ['lowerdir={{ overlay 0 1 }}']),
  ]

  test('is one tree, and gone afterwards', async () => {
    const seen = await withMounted(
      list(),
      async (at) => [readdirSync(at), readFileSync(join(at, 'both'), 'utf8'), mounted().length],
      options(),
    )
    expect(seen).toEqual([['both', 'high', 'low'], 'high', 3])
    expect([mounted(), readdirSync(options().directory)]).toEqual([[], ['.lock']])
  })

  test('is written to through an overlay with an upper directory', async () => {
    for (const name of ['upper', 'work']) mkdirSync(join(directory, name))
    const upper = [`upperdir=${directory}/upper`, `workdir=${directory}/work`, 'lowerdir={{ mount 0 }}']
    const mounts = [layer('low', ['kept', 'gone']), mount('format/mkdir/overlay', 'overlay', upper)]
    await withMounted(mounts, async (at) => rmSync(join(at, 'gone')), options())
    expect(readdirSync(join(directory, 'upper'))).toEqual(['gone'])
    expect(await withMounted(mounts, async (at) => readdirSync(at), options())).toEqual(['kept'])
  })

  test('when its last mount fails, nothing of it stays', async () => {
    const mounts = [layer('low', ['a']), mount('format/overlay', 'overlay', ['lowerdir={{ mount 0 }}:/nowhere'])]
    await expect(withMounted(mounts, async () => 1, options())).rejects.toMatchObject({ code: 'SYSTEM_CALL_FAILED' })
    await expect(
      withMounted([...mounts.slice(0, 1), mount('format/overlay', 'x', ['{{ mount 7 }}'])], async () => 1, options()),
    ).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
    expect([mounted(), readdirSync(options().directory)]).toEqual([[], ['.lock']])
  })

  test('what a killed runner left of it is recovered', async () => {
    const module = new URL('../../functions/linux/mounted.ts', import.meta.url).href
    const code = `import { withMounted } from ${JSON.stringify(module)}
      await withMounted(JSON.parse(process.argv[1]), async () => {
        console.log('mounted')
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      }, { directory: process.argv[2] })`
    const args = ['--input-type=module', '-e', code, JSON.stringify(list()), options().directory]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    expect(mounted()).toHaveLength(3)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(recoverMounts(options().directory)).toBe(1)
    expect([mounted(), readdirSync(options().directory)]).toEqual([[], ['.lock']])
  })
})
