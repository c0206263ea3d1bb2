/**
 * Stand-ins for the images that critest runs, made of busybox. They have the names of the true ones, which critest does not let
 * anybody choose but for two (`--test-images-file`), and do what its specs look at.
 */
import { spawnSync } from 'node:child_process'
import { dir, file, hardlink, symlink, type TarEntry } from '../images/entries.ts'
import { buildImage, type BuiltImage } from '../images/image.ts'
import { busybox } from '../images/running.ts'

/** The two images that critest lets one name, as its file of test images has them. */
export const TEST_IMAGES = {
  defaultTestContainerImage: 'example.com/busybox:1',
  webServerTestImage: 'example.com/web-server:1',
}

/** What sandboxes run. */
export const PAUSE_IMAGE = 'registry.k8s.io/pause:3.9'

const STAGING = 'gcr.io/k8s-staging-cri-tools'
const E2E = 'registry.k8s.io/e2e-test-images'

const script = (path: string, text: string, mode = 0o755): TarEntry => file(path, `#!/bin/sh\n${text}\n`, { mode })

/** All of busybox's applets, the two programs that Debian's lacks, and users and groups. */
function system(): TarEntry[] {
  const applets = spawnSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).stdout.split('\n')
  return [
    ...['bin', 'etc', 'root', 'run', 'usr', 'var', 'var/lib', 'www'].map((path) => dir(path)),
    dir('tmp', { mode: 0o1777 }),
    symlink('var/run', '../run'),
    symlink('usr/bin', '../bin'),
    file('bin/busybox', busybox ?? '', { mode: 0o755 }),
    // Not symbolic ones: a spec hides one program by a mount, which would then hide them all.
    ...applets
      .filter((name) => name !== '' && name !== 'busybox')
      .map((name) => hardlink(`bin/${name}`, 'bin/busybox', { mode: 0o755 })),
    script('bin/pgrep', 'exec pidof "$@"'),
    script('bin/ipcs', 'exec cat /proc/sysvipc/shm'),
    file(
      'etc/passwd',
      [
        'root:x:0:0:root:/root:/bin/sh',
        'www-data:x:33:33::/:/bin/sh',
        'default-user:x:1000:1000::/:/bin/sh',
        'nobody:x:65534:65534::/:/bin/sh',
      ]
        .map((line) => `${line}\n`)
        .join(''),
    ),
    file(
      'etc/group',
      [
        'root:x:0:',
        'www-data:x:33:',
        'default-user:x:1000:',
        'group-defined-in-image:x:50000:default-user',
        'nogroup:x:65534:',
      ]
        .map((line) => `${line}\n`)
        .join(''),
    ),
  ]
}

const withPath = (layers: TarEntry[][], config: Record<string, unknown>): BuiltImage =>
  buildImage({ layers, compression: 'none', config: { Env: ['PATH=/bin'], ...config } })

/** A web server that runs as nginx does: a master process of that name, which writes down its ID. */
function webServer(base: TarEntry[], port: number): BuiltImage {
  const start = `echo $$ >/run/nginx.pid\necho httpd serves\nhttpd -p ${port} -h /www\nwhile :; do sleep 1; done`
  return withPath([base, [file('www/index.html', 'served\n'), script('bin/nginx', start)]], {
    Entrypoint: ['/bin/nginx', 'master process'],
  })
}

/** The images by the names that critest has for them, uncompressed: there are many, and they have most of their bytes in common. */
export function critestImages(): Map<string, BuiltImage> {
  const base = system()
  const small = (name: string, user?: string): BuiltImage =>
    withPath([base, [file('test-image', name)]], { Cmd: ['sh'], User: user })
  const tagged = small('tags')
  // The true one has a setuid program that tells its user; what the kernel would make of it stands in /proc.
  const noNewPrivs = 'grep -q "NoNewPrivs:.1" /proc/self/status && id=1000 || id=0\necho "Effective uid: $id"'
  return new Map([
    [TEST_IMAGES.defaultTestContainerImage, withPath([base], { Cmd: ['sh'] })],
    [TEST_IMAGES.webServerTestImage, webServer(base, 80)],
    [`${STAGING}/hostnet-nginx-amd64:latest`, webServer(base, 12003)],
    [`${E2E}/nginx:1.14-2`, webServer(base, 80)],
    [`${E2E}/httpd:2.4.39-4`, webServer(base, 80)],
    [`${E2E}/nonewprivs:1.3`, withPath([base, [script('bin/nnp', noNewPrivs)]], { Cmd: ['/bin/nnp'] })],
    // Of a chain of its own, so that it brings no layer of the others to a snapshotter.
    [PAUSE_IMAGE, withPath([[file('pause', '')], base], { Cmd: ['tail', '-f', '/dev/null'] })],
    [`${STAGING}/test-image-predefined-group:latest`, small('group', '1000')],
    [`${STAGING}/test-image-user-uid:latest`, small('uid', '1002')],
    [`${STAGING}/test-image-user-username:latest`, small('username', 'www-data')],
    [`${STAGING}/test-image-user-uid-group:latest`, small('uid-group', '1003:users')],
    [`${STAGING}/test-image-user-username-group:latest`, small('username-group', 'www-data:100')],
    ...['1', '2', '3'].map((n) => [`${STAGING}/test-image-${n}:latest`, small(n)] as const),
    ...['1', '2', '3'].map((n) => [`${STAGING}/test-image-tags:${n}`, tagged] as const),
    [`${STAGING}/test-image-latest:latest`, small('latest')],
    [`${STAGING}/test-image-tag:test`, small('test')],
    [`${STAGING}/test-image-tag:all`, small('all')],
  ])
}
