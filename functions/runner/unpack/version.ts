/** The first two numbers of a daemon's version; undefined for one that is spelt in no known way. */
export function minorOf(version: string): readonly [major: number, minor: number] | undefined {
  const match = /^v?(\d+)\.(\d+)\./.exec(version)
  return match === null ? undefined : [Number(match[1]), Number(match[2])]
}
