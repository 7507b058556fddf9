/** Says in words which of several builds an event is about; in JSON it has a field of its own. */
import type { LogEvent } from '../../log.ts'

/** The event with the name of its build before its words; as it is where there is but one build. */
export function named(event: LogEvent): LogEvent {
  const { build } = event
  if (build === undefined) return event
  switch (event.kind) {
    case 'phase':
      return { ...event, phase: `${build}: ${event.phase}` }
    case 'output':
      return { ...event, line: `${build} | ${event.line}` }
    case 'step':
    case 'progress':
    case 'notice':
    case 'warning':
      return { ...event, text: `${build}: ${event.text}` }
    case 'result':
      return event
  }
}
