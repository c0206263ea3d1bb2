/** A vitest reporter that adds one line. */
import type { Reporter, TestModule } from 'vitest/node'

/** Ends a run with one plain line, `tests: N passed, N failed, N skipped`, which a CI that knows no vitest can read. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 }
    for (const module of modules) {
      let any = false
      for (const test of module.children.allTests()) {
        any = true
        const { state } = test.result()
        counts[state === 'pending' ? 'skipped' : state]++
      }
      // A file that does not load has no tests, only an error of its own.
      if (!any && module.state() === 'failed') counts.failed++
    }
    console.log(`\ntests: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  }
}
