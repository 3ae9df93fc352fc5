// One exchange in a process of its own, whose AWS environment its parent has poisoned.
import { systemClock } from '../../src/core/clock.ts'
import { never, setUp } from './support.ts'

const { web, aws, stop } = await setUp({ clock: systemClock })
const { accessKeyId } = await web()(never)
console.log(`${accessKeyId} after ${aws.requests.length} request`)
await stop()
