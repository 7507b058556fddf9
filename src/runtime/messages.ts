/** What the forked children and the supervisor say to each other: one JSON message a packet. */
import { serializeError, type SerializedError } from '../errors.ts'
import { receiveMessage, sendMessage } from '../sys/fd.ts'

export type ChildMessage =
  /** From the outer child: the inner one exists. Descriptors: notify socket, reading end of /proc/kmsg. */
  | {
      readonly kind: 'leader'
      readonly pid: number
      readonly containerUuid: string
      readonly fds: readonly ('notify' | 'kmsg')[]
    }
  /** From the inner child, right before it execs. Descriptor: the pty's master, unless the console is a pipe. */
  | { readonly kind: 'started'; readonly fds: readonly 'console'[] }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'failed'; readonly error: SerializedError }

/** To the inner child: its cgroup is final, go on. */
export interface GoMessage {
  readonly kind: 'go'
}

export interface Received<T> {
  readonly message: T
  readonly fds: readonly number[]
}

export function send(
  socket: number,
  message: ChildMessage | GoMessage,
  fds: readonly number[] = [],
): void {
  sendMessage(socket, Buffer.from(JSON.stringify(message)), fds)
}

/** Tells the supervisor why this child gives up. */
export function sendFailure(socket: number, error: unknown): void {
  send(socket, { kind: 'failed', error: serializeError(error) as SerializedError })
}

/** The next message; undefined when the other side is gone. Blocks. */
export function receive<T extends ChildMessage | GoMessage>(
  socket: number,
): Received<T> | undefined {
  const received = receiveMessage(socket)
  if (received === undefined || received === 'again') return undefined
  return { message: JSON.parse(received.data.toString()) as T, fds: received.fds }
}
