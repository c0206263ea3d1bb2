/** Applies the migrations: a test worker, which `layercast serve` runs by `workerd test` before it serves. It listens nowhere. */
import { applyMigrations } from '../migrations.ts'
import type { MigratedDatabase, Migration } from '../migrations.ts'

export default {
  async test(_: unknown, env: { DB: MigratedDatabase; MIGRATIONS: Migration[] }): Promise<void> {
    await applyMigrations(env.DB, env.MIGRATIONS)
  },
}
