/** The Worker's entry: the app, and the Durable Object class beside it. functions/serve runs the same module under workerd. */
import { createApp } from './app.ts'

export { Fleet } from './fleet/fleet.ts'

export default createApp()
