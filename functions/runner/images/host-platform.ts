/** The platform of this machine. */
import { endianness } from 'node:os'
import { normalizePlatform, type Platform } from '../../image/platform.ts'

const OS: Readonly<Record<string, string>> = { win32: 'windows', sunos: 'solaris' }
const ARCHITECTURE: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

/** In containerd's spelling. */
export function hostPlatform(): Platform {
  const variables = process.config.variables as { arm_version?: string }
  const variant = process.arch === 'arm' && variables.arm_version ? `v${variables.arm_version}` : ''
  return normalizePlatform({
    os: OS[process.platform] ?? process.platform,
    architecture: architecture(),
    variant,
  })
}

function architecture(): string {
  if (process.arch === 'ppc64' && endianness() === 'LE') return 'ppc64le'
  return ARCHITECTURE[process.arch] ?? process.arch
}
