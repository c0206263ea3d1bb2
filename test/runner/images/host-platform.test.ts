import { expect, test } from 'vitest'
import { hostPlatform } from '../../../functions/runner/images/host-platform.ts'

test("the host's platform is a platform", () => {
  const { os, architecture } = hostPlatform()
  expect(os).toBe(process.platform)
  expect(architecture).toBe(process.arch === 'x64' ? 'amd64' : process.arch)
})
