/** The program `layercast`: a command line in, an exit status out. */

import { run } from './program/run.ts'
import { VERBS } from './verbs.ts'

// Exits at once, so that what is still open (a keep-alive connection, say) does not hold it. stdout is written by then.
process.exit(
  await run(process.argv.slice(2), VERBS, {
    env: process.env,
    streams: { stdout: process.stdout, stderr: process.stderr },
    stdin: process.stdin,
    process,
  }),
)
