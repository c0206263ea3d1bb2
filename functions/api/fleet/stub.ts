import { FLEET } from '../env.ts'
import type { Env } from '../env.ts'

/** The one object that decides for the fleet. */
export function theFleet(env: Env) {
  return env.FLEET.get(env.FLEET.idFromName(FLEET))
}
