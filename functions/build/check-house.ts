/** `npm run house`: says what is wrong with the rooms, and ends with 1 where anything is. */
import { inspectHouse } from './house.ts'
import { root } from './places.ts'
import { ROOMS } from './rooms.ts'

const complaints = inspectHouse({ root, tops: ['functions', 'core-wasm'], rooms: ROOMS, walks: ['functions'] })
for (const complaint of complaints) console.error(complaint)
if (complaints.length > 0) process.exitCode = 1
