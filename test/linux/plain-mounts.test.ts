import { describe, expect, test } from 'vitest'
import type { Mount } from '../../functions/linux/mount-list.ts'
import {
  asBareUpperdir,
  bareUpperdir,
  isMadeHere,
  placesOf,
  shownDirectories,
  soleBind,
  writtenDirectory,
} from '../../functions/linux/plain-mounts.ts'

const mount = (type: string, source: string, ...options: string[]): Mount => ({ type, source, target: '', options })
const bind = (...options: string[]): Mount => mount('bind', '/fs', 'rbind', ...options)
const overlay = (...options: string[]): Mount => mount('overlay', 'overlay', ...options)

describe('what mounts mean without being mounted', () => {
  test('a writable bind mount alone is its source', () => {
    expect(soleBind([bind('rw')])).toEqual({ source: '/fs', plain: true })
    expect(soleBind([bind('rw', 'uidmap=0:1:2')])).toEqual({ source: '/fs', plain: false })
  })

  test.each<[string, Mount[]]>([
    ['one that is read-only', [bind('ro')]],
    ['one below the root', [{ ...bind('rw'), target: '/in' }]],
    ['one of several', [bind('rw'), bind('rw')]],
    ['one for containerd to make', [bind('rw', 'X-containerd.mkdir.path=/x')]],
    ['one with a template', [{ ...bind('rw'), type: 'format/bind', source: '{{ mount 0 }}' }]],
    ['an overlay', [overlay('upperdir=/u', 'lowerdir=/l')]],
    ['none', []],
  ])('%s is no such bind mount', (_, mounts) => {
    expect(soleBind(mounts)).toBeUndefined()
  })

  test('an overlay of an upperdir alone is that directory, and keeps the options of the bind mount it was', () => {
    const mounts = asBareUpperdir('/fs', [bind('rw', 'uidmap=0:1:2')])
    expect(mounts).toEqual([overlay('rw', 'uidmap=0:1:2', 'upperdir=/fs')])
    expect(bareUpperdir(mounts)).toBe('/fs')
    expect(bareUpperdir(asBareUpperdir('/a,b:c\\:d', []))).toBe('/a,b:c\\:d')
    expect(bareUpperdir([overlay('upperdir=/u', 'lowerdir=/l')])).toBeUndefined()
    expect(bareUpperdir([bind('rw')])).toBeUndefined()
  })

  test('the kernel makes types by itself, and those that templates are resolved for', () => {
    for (const type of ['overlay', 'format/mkdir/overlay', 'erofs']) expect(isMadeHere(mount(type, '/x'))).toBe(true)
    for (const type of ['fuse3.fuse-overlayfs', 'fuse', 'mkfs/ext4']) expect(isMadeHere(mount(type, '/x'))).toBe(false)
    expect(isMadeHere(overlay('X-containerd.mkdir.path=/x'))).toBe(false)
  })

  test('content lies at paths, and not at templates or names', () => {
    expect(placesOf(overlay('workdir=/w', 'upperdir=/u', String.raw`lowerdir=/a\:b:/c:{{ mount 0 }}`))).toEqual([
      '/u',
      '/w',
      '/a:b',
      '/c',
    ])
    expect(placesOf(bind('rw'))).toEqual(['/fs'])
    const odd = overlay(
      String.raw`workdir=/a\,b\:c/w`,
      String.raw`upperdir=/a\,b\:c/u`,
      String.raw`lowerdir=/a\,b\:c/l`,
    )
    expect(placesOf(odd)).toEqual(['/a,b:c/u', '/a,b:c/w', '/a,b:c/l'])
  })

  test('writes go to a bind mount’s source, or to the upperdir', () => {
    expect(writtenDirectory(bind('rw'))).toBe('/fs')
    expect(writtenDirectory(bind('ro'))).toBeUndefined()
    expect(writtenDirectory(overlay('upperdir=/u', 'lowerdir=/l'))).toBe('/u')
    expect(writtenDirectory(overlay(String.raw`upperdir=/a\,b\:c\\d`, 'lowerdir=/l'))).toBe('/a,b:c\\d')
    expect(writtenDirectory(overlay('upperdir={{ mount 0 }}/u'))).toBeUndefined()
  })

  test('what is shown comes topmost first', () => {
    expect(shownDirectories([overlay('lowerdir=/b:/a')])).toEqual(['/b', '/a'])
    expect(shownDirectories([bind('ro')])).toEqual(['/fs'])
    expect(shownDirectories([mount('erofs', '/x')])).toEqual([])
    expect(shownDirectories([bind('ro'), bind('ro')])).toEqual([])
  })
})
