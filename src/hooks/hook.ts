// Who is told when something is new: one hook at a time does its work, and what came meanwhile is told once more.
import { toFailure } from '../core/errors.ts'
import type { Emit, Event, OutputKind } from '../core/events.ts'
import { createCell } from '../core/source.ts'

export type Trigger = OutputKind

/** What a hook does. Throws a Failure; ends when aborted. */
export type Action = (signal: AbortSignal) => Promise<void>

export type Hook = ReturnType<typeof createHook>

export interface HookOptions {
  readonly name: string
  readonly on: readonly Trigger[]
  readonly action: Action
  /** There is something already that it has not been told of. */
  readonly due: boolean
  readonly emit: Emit
}

/** What an event is news of. */
export const triggerOf = (event: Event): Trigger | undefined =>
  event.type === 'output.written' ? event.kind : event.type === 'credentials.fresh' ? 'credentials' : undefined

/** Creates a hook: it hears of outputs when they are in place, and of credentials when they can be had. */
export function createHook({ name, on, action, due, emit }: HookOptions) {
  const news = createCell(due ? 1 : 0)
  let told = 0
  let busy = false
  return {
    listener(event: Event): void {
      const trigger = triggerOf(event)
      if (trigger !== undefined && on.includes(trigger)) news.set(news.current + 1)
    },
    /** It has been told of everything. */
    idle: (): boolean => !busy && told === news.current,
    async run(signal: AbortSignal): Promise<void> {
      for (;;) {
        told = await news.next(told, signal)
        busy = true
        const failed = await action(signal).then(
          () => undefined,
          (error: unknown) => toFailure(error),
        )
        busy = false
        signal.throwIfAborted()
        emit(failed === undefined ? { type: 'hook.done', hook: name } : { type: 'hook.failed', hook: name, failure: failed })
      }
    },
  }
}
