/** The process's clock, set forward. */
import { onTestFinished, vi } from 'vitest'

const HOUR_AND_A_MINUTE = 61 * 60 * 1000

const now = Date.now.bind(Date)
let ahead = 0

/** Sets this process's clock more than an hour forward, until the test ends. Every call adds to those before. */
export function passAnHour(): void {
  ahead += HOUR_AND_A_MINUTE
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + ahead)
  onTestFinished(() => {
    ahead = 0
    clock.mockRestore()
  })
}
