/** The Worker: the app, and the Durable Object class beside it. */
import { createApp } from './app.ts'

export { Fleet } from './fleet/fleet.ts'

export default createApp()
