/** The asking side of the zygote: it is started when the first container is wanted, and anew when it has died. */
import { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { packageDirectory } from '../paths.ts'
import { startAttendant } from '../process.ts'
import {
  close,
  packetSocketPair,
  sendMessage,
  setNonBlocking,
  streamSocketPair,
} from '../sys/fd.ts'
import { START_FLAGS } from './fork-safe-flags.ts'

interface Zygote {
  readonly socket: number
  /** How it ended, once it has. */
  ended: string | undefined
}

let current: Zygote | undefined

/**
 * Asks for a supervisor.
 *
 * @param stdio descriptors for the container; they stay the caller's
 * @returns the channel to it, which ends when the supervisor does
 * @throws NspawnError `RUNTIME_DIED` when no zygote can be had
 */
export function openSupervisor(stdio: readonly [number, number, number]): Socket {
  const [ours, theirs] = streamSocketPair()
  try {
    ask([...stdio, theirs])
  } catch (error) {
    close(ours)
    throw error
  } finally {
    close(theirs)
  }
  setNonBlocking(ours)
  return new Socket({ fd: ours, readable: true, writable: true })
}

/** One that is found dead is replaced, once: a second one that dies at once would only be followed by a third. */
function ask(fds: readonly number[]): void {
  for (const last of [false, true]) {
    current ??= startZygote()
    try {
      sendMessage(current.socket, Buffer.from('container'), fds)
      return
    } catch (error) {
      const how = current.ended
      // Its socket is closed when its end is told; before, its number could be the next one's.
      current = undefined
      if (!last) continue
      throw new NspawnError(`the zygote ended${how === undefined ? '' : ` by ${how}`}`, {
        code: 'RUNTIME_DIED',
        operation: 'run container',
        cause: error,
      })
    }
  }
}

function startZygote(): Zygote {
  const [ours, theirs] = packetSocketPair()
  const dist = join(packageDirectory(dirname(import.meta.filename)), 'dist')
  const program = [join(dist, 'start.cjs'), join(dist, 'zygote.cjs')] as const
  const { ended } = startAttendant([process.execPath, ...START_FLAGS, ...program], theirs)
  close(theirs)
  const zygote: Zygote = { socket: ours, ended: undefined }
  void ended.then((how) => {
    zygote.ended = how
    close(ours)
    if (current === zygote) current = undefined
  })
  return zygote
}
