/** What the forked children and the supervisor say to each other: one JSON message a packet. */
import { NspawnError, serializeError, type SerializedError } from '../errors.ts'
import { receiveMessage, sendMessage } from '../sys/fd.ts'

/** What the supervisor holds for the container: its notify socket, and the writing end of its /proc/kmsg. */
export type SupervisorDescriptor = 'notify' | 'kmsg'

export type ChildMessage =
  /** The tree is the root. From the outer child, with the pid of the inner one; else from the leader itself. */
  | {
      readonly kind: 'assembled'
      readonly leader: number | undefined
      readonly fds: readonly SupervisorDescriptor[]
    }
  /**
   * From the inner child, in its network namespace, which it waits in to be connected. Descriptor: a monitor of addresses,
   * where somebody wants to know of them.
   */
  | { readonly kind: 'network'; readonly fds: readonly 'addresses'[] }
  /** From the inner child, with all of its mounts but its own, which waits for the hooks of a bundle. */
  | { readonly kind: 'created' }
  /** From the inner child, right before it execs. Descriptor: the pty's master, unless the console is a pipe. */
  | { readonly kind: 'started'; readonly fds: readonly 'console'[] }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'failed'; readonly error: SerializedError }

/**
 * To the inner child. `go`: its cgroup is final. `adopted`: the outer child has ended, so that the supervisor is its
 * parent now, whose death it shall not survive. `connected`: its network has all its links. `hooked`: what is run
 * before the payload has been.
 */
export interface SupervisorMessage {
  readonly kind: 'go' | 'adopted' | 'connected' | 'hooked'
}

export interface Received<T> {
  readonly message: T
  readonly fds: readonly number[]
}

export function send(
  socket: number,
  message: ChildMessage | SupervisorMessage,
  fds: readonly number[] = [],
): void {
  sendMessage(socket, Buffer.from(JSON.stringify(message)), fds)
}

/** Like `send()` for a child that may have died already, which is noticed elsewhere. */
export function sendIfAlive(socket: number, message: SupervisorMessage): void {
  try {
    send(socket, message)
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code !== 'EPIPE') throw error
  }
}

/** Tells the supervisor why this child gives up. */
export function sendFailure(socket: number, error: unknown): void {
  send(socket, { kind: 'failed', error: serializeError(error) as SerializedError })
}

/** The next message; undefined when the other side is gone. Blocks. */
export function receive<T extends ChildMessage | SupervisorMessage>(
  socket: number,
): Received<T> | undefined {
  const received = receiveMessage(socket)
  if (received === undefined || received === 'again') return undefined
  return { message: JSON.parse(received.data.toString()) as T, fds: received.fds }
}
