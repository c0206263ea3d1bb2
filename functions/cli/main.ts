/** The program `layercast`: a command line in, an exit status out. */
import { run } from './program/run.ts'
import { VERBS } from './verbs.ts'

// What is still open (a keep-alive connection, say) must not hold a program that is done; stdout is written out by then.
process.exit(
  await run(process.argv.slice(2), VERBS, {
    env: process.env,
    streams: { stdout: process.stdout, stderr: process.stderr },
    stdin: process.stdin,
    process,
  }),
)
