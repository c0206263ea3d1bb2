/**
 * The rooms of the house, from the ground up, and what each may import. `npm run house` keeps to it, types included; the README
 * of each room says what it is for.
 */

export interface Room {
  /** A folder, or one file. What lies in it belongs to the longest path of this table that leads to it. */
  path: string
  /** Rooms, or files of them, that it may import, besides itself. A room stands for all below it. */
  imports: readonly string[]
  /** Packages that it may import. */
  packages?: readonly string[]
  /** Whose API it may use besides the language's: Node's, the Workers', or nobody's. */
  host?: 'node' | 'workers'
}

const errors = 'functions/errors.ts'
const kit = 'functions/kit'
const image = 'functions/image'
const plan = 'functions/plan'
const linux = 'functions/linux'
const layer = 'functions/layer'
const node = 'functions/node'
const containerd = 'functions/node/containerd'
const config = 'functions/node/containerd-config'
/** What lies in `functions/node` itself: the ports, and what needs nothing but them. */
const ports = [
  'ports',
  'or-none',
  'blob-fault',
  'verified',
  'marked-lease',
  'process-mark',
  'cri-namespace',
  'daemon',
  'daemon-version',
].map((file) => `${node}/${file}.ts`)

/** What every room of the runner stands on. */
const ground = [...ports, layer, linux, image, plan, kit, errors]
const runner = (...names: string[]): string[] => names.map((name) => `functions/runner/${name}`)
const api = (...names: string[]): string[] => names.map((name) => `functions/api/${name}`)
const cli = (...names: string[]): string[] => names.map((name) => `functions/cli/${name}`)

export const ROOMS: readonly Room[] = [
  {
    path: 'core-wasm',
    imports: [],
    host: 'node',
    packages: ['assemblyscript', 'esbuild', '@noble/hashes', '#core-module', '#core.wasm'],
  },
  { path: errors, imports: [] },
  { path: kit, imports: [errors], host: 'node' },
  { path: image, imports: [errors, 'core-wasm'] },
  { path: plan, imports: [image, errors, 'core-wasm'] },
  { path: 'functions/contract', imports: [plan, image, errors], packages: ['@hono/zod-openapi'] },
  { path: linux, imports: [errors], host: 'node', packages: ['koffi'] },

  { path: `${layer}/read`, imports: [linux, image, kit, errors, 'core-wasm'], host: 'node' },
  { path: `${layer}/apply`, imports: [`${layer}/read`, `${layer}/xattr.ts`, linux, image, kit, errors], host: 'node' },
  {
    path: `${layer}/compare`,
    imports: [`${layer}/read`, `${layer}/xattr.ts`, linux, image, kit, errors],
    host: 'node',
  },
  { path: `${layer}/diff`, imports: [`${layer}/read`, `${layer}/xattr.ts`, linux, image, kit, errors], host: 'node' },
  { path: layer, imports: [linux, image, kit, errors], host: 'node' },

  {
    path: containerd,
    imports: ground,
    host: 'node',
    packages: ['@bufbuild/protobuf', '@connectrpc/connect', '@connectrpc/connect-node'],
  },
  { path: `${node}/embedded`, imports: [...ground, 'package.json'], host: 'node' },
  { path: config, imports: [containerd, ...ground], host: 'node', packages: ['smol-toml'] },
  { path: node, imports: [layer, linux, image, plan, kit, errors], host: 'node' },

  { path: 'functions/runner/operation', imports: ground, host: 'node' },
  { path: 'functions/runner/chain', imports: [...ground, ...runner('operation')], host: 'node' },
  { path: 'functions/runner/sources', imports: [...ground, config], host: 'node', packages: ['smol-toml'] },
  { path: 'functions/runner/content', imports: ground, host: 'node' },
  {
    path: 'functions/runner/blobs',
    imports: [...ground, ...runner('operation', 'chain', 'sources', 'content')],
    host: 'node',
  },
  {
    path: 'functions/runner/images',
    imports: [...ground, ...runner('operation', 'sources', 'content', 'blobs')],
    host: 'node',
  },
  {
    path: 'functions/runner/unpack',
    imports: [...ground, ...runner('operation', 'blobs', 'images', 'chain')],
    host: 'node',
  },
  {
    path: 'functions/runner/verify',
    imports: [...ground, ...runner('operation', 'images', 'chain')],
    host: 'node',
  },
  {
    path: 'functions/runner/repair',
    imports: [...ground, ...runner('operation', 'blobs', 'chain', 'unpack', 'verify')],
    host: 'node',
  },
  { path: 'functions/runner/doctor', imports: [...ground, config], host: 'node' },
  {
    path: 'functions/runner/runtime-handlers',
    imports: [...ground, containerd, config, ...runner('images', 'doctor')],
    host: 'node',
    packages: ['@bufbuild/protobuf', '@connectrpc/connect'],
  },

  {
    path: 'functions/cri-proxy',
    imports: [
      containerd,
      config,
      node,
      ...runner('images', 'repair', 'runtime-handlers', 'unpack', 'verify'),
      ...ground,
    ],
    host: 'node',
    packages: ['@bufbuild/protobuf', 'prom-client'],
  },

  {
    path: 'functions/agent',
    packages: ['zod'],
    imports: ['functions/runner', 'functions/contract', ...ground],
    host: 'node',
  },

  // The API, from the ground up. Handlers (routes) reach neither the store nor the bindings: what they may use of both, bound
  // to the caller's fleet, is on the request's context. So they, auth and http need no type of D1 or of Durable Objects.
  { path: 'functions/api/id.ts', imports: [] },
  { path: 'functions/api/hash.ts', imports: [] },
  {
    path: 'functions/api/store',
    imports: ['functions/contract', plan, image],
    host: 'workers',
    packages: ['@hono/zod-openapi'],
  },
  { path: 'functions/api/fleet', imports: [...api('id.ts', 'hash.ts', 'store'), image, errors], host: 'workers' },
  { path: 'functions/api/env.ts', imports: api('store', 'fleet'), host: 'workers' },
  {
    path: 'functions/api/auth',
    imports: [...api('id.ts', 'hash.ts', 'store', 'env.ts'), 'functions/contract', errors],
  },
  {
    path: 'functions/api/http',
    imports: [...api('id.ts', 'store', 'fleet', 'env.ts', 'auth'), 'functions/contract', errors],
    packages: ['hono', '@hono/zod-openapi'],
  },
  {
    path: 'functions/api/routes',
    imports: [...api('hash.ts', 'fleet', 'auth', 'http'), 'functions/contract', plan, image, errors],
    packages: ['hono', '@hono/zod-openapi'],
  },
  {
    path: 'functions/api',
    imports: ['functions/contract', errors],
    packages: ['@hono/zod-openapi'],
  },

  {
    path: 'functions/cli/program',
    imports: [node, ...ground, 'package.json'],
    host: 'node',
    packages: ['commander'],
  },
  {
    path: 'functions/cli/output',
    imports: [...cli('program'), 'functions/runner', 'functions/agent', ...ground],
    host: 'node',
  },
  {
    path: 'functions/cli/verbs/shared',
    imports: [...cli('program', 'output'), 'functions/runner', 'functions/contract', containerd, ...ground],
    host: 'node',
  },
  {
    path: 'functions/cli',
    imports: [
      'functions/agent',
      'functions/cri-proxy',
      'functions/runner',
      'functions/contract',
      'functions/serve',
      node,
      ...ground,
    ],
    host: 'node',
  },

  // Runs inside workerd, and so has no API of Node.
  { path: 'functions/serve/worker', imports: ['functions/serve/migrations.ts'], host: 'workers' },
  { path: 'functions/serve', imports: [linux, errors], host: 'node', packages: ['esbuild'] },
  { path: 'functions/library.ts', imports: [plan, image, errors] },
  {
    path: 'functions/demo',
    imports: ['functions/cli', 'functions/serve', 'functions/contract', 'functions/runner', node, ...ground],
    host: 'node',
  },
  {
    path: 'functions/build',
    imports: ['functions/serve', 'core-wasm', 'package.json'],
    host: 'node',
    packages: ['esbuild', 'oxc-parser', 'typescript'],
  },
]
