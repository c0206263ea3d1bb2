import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

// Three projects: what runs in Node, what runs inside workerd, and what starts daemons and mounts (two files at a time).
// They run one after another: daemons and workerd share the processors badly, and tests that time out tell nothing.
// A fourth, under a real kubelet, only where it is asked for (`npm run test:kubernetes`): its programs take long to build.
const kubernetes = process.env['LAYERCAST_TEST_KUBERNETES'] !== undefined
export default defineConfig({
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.worker.test.ts', 'test/e2e/**', 'test/kubernetes/**'],
          sequence: { groupOrder: 0 },
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { bindings: { TEST_MIGRATIONS: await readD1Migrations('functions/api/migrations') } },
          })),
        ],
        test: {
          name: 'workerd',
          include: ['test/**/*.worker.test.ts'],
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          // Each file has daemons and directories of its own. One command at a time leaves the other processors idle.
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          // Where Go is there, the first file that needs a containerd builds it.
          hookTimeout: 300_000,
        },
      },
      ...(kubernetes
        ? [
            {
              extends: true as const,
              test: {
                name: 'kubernetes',
                include: ['test/kubernetes/**/*.test.ts'],
                maxWorkers: 1,
                sequence: { groupOrder: 3 },
                testTimeout: 600_000,
                hookTimeout: 600_000,
              },
            },
          ]
        : []),
    ],
  },
})
