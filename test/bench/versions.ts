/** Names the packages that the core is measured against. */
import { readFileSync } from 'node:fs'

const { dependencies, devDependencies } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { dependencies: Record<string, string>; devDependencies: Record<string, string> }

/** A package with its version, which package.json pins. */
export function versioned(name: string): string {
  const version = devDependencies[name] ?? dependencies[name]
  if (version === undefined) throw new Error(`${name} is none of the packages that package.json names`)
  return `${name} ${version}`
}
