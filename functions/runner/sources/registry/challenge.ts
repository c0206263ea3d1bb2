/** A challenge of a WWW-Authenticate header, by which a server says how to log in (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  scheme: string
  parameters: ReadonlyMap<string, string>
}

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|$)/y
const QUOTED = /"((?:[^"\\]|\\.)*)"/y

/** The challenges of a WWW-Authenticate header, in order. What does not follow the grammar ends the list. */
export function parseChallenges(field: string): Challenge[] {
  const challenges: Challenge[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(field)
    if (match) at = pattern.lastIndex
    return match
  }
  const skip = (): void => {
    while (/[ \t,]/.test(field[at] ?? '')) at++
  }
  let parameters = new Map<string, string>()
  for (skip(); at < field.length; skip()) {
    const name = take(TOKEN)?.[0]
    if (name === undefined) return challenges
    while (/[ \t]/.test(field[at] ?? '')) at++
    if (field[at] !== '=') {
      parameters = new Map()
      challenges.push({ scheme: name.toLowerCase(), parameters })
      take(TOKEN68)
      continue
    }
    at++
    while (/[ \t]/.test(field[at] ?? '')) at++
    const value = take(QUOTED)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? take(TOKEN)?.[0]
    if (value === undefined) return challenges
    parameters.set(name.toLowerCase(), value)
  }
  return challenges
}
