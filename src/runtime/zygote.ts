/**
 * The zygote: a lean process that forks a supervisor for each container, and so spares all but the first of them
 * Node's own start. One supervisor is always forked ahead and waits for the next order itself; as soon as it has
 * taken one, it says so, and another one takes its place. Supervisors are processes of their own: whatever becomes
 * of one, or of its container, the zygote goes on; and with the zygote gone, they finish what they have begun.
 *
 * In: packets on a socket, each with descriptors. It ends when nobody is left who could send one.
 */
import { chdir } from 'node:process'
import { close, pipe, poll, read, receiveMessage, write, POLLIN } from '../sys/fd.ts'
import { forkWithHeap } from '../sys/fork.ts'
import { bindAllFunctions } from '../sys/lazy-function.ts'
import {
  blockSignals,
  exitProcess,
  ignoreSignals,
  openPidfd,
  restoreSignals,
  setProcessName,
  SIGHUP,
  SIGINT,
  SIGQUIT,
  waitForChild,
} from '../sys/process.ts'
import { superviseByOrder } from './forked-supervisor.ts'

interface ForkedSupervisor {
  readonly pid: number
  readonly pidfd: number
}

/** @param socket a packet socket; see `ZYGOTE_FD` */
export function runZygote(socket: number): void {
  // Not to be in the way of whoever wants to unmount the directory that we were started in.
  chdir('/')
  bindAllFunctions()
  setProcessName('tsnspawn-zygote')
  // What a terminal sends is for whoever asks: it decides about its containers, and whether there will be more.
  ignoreSignals([SIGHUP, SIGINT, SIGQUIT])
  const [taken, sayTaken] = pipe()
  const running = new Set<ForkedSupervisor>()
  let idle = forkSupervisor()
  for (;;) {
    const all = [idle, ...running]
    const fds = [socket, taken, ...all.map(({ pidfd }) => pidfd)]
    // The socket only tells that nobody is left: its packets are the idle supervisor's.
    const events = poll(
      fds.map((fd) => ({ fd, events: fd === socket ? 0 : POLLIN })),
      -1,
    )
    if (events[0] !== 0) return
    if (events[1] !== 0) {
      read(taken, Buffer.alloc(1))
      running.add(idle)
      idle = forkSupervisor()
    }
    for (const [i, supervisor] of all.entries()) {
      if (events[i + 2] === 0) continue
      waitForChild(supervisor.pid)
      close(supervisor.pidfd)
      running.delete(supervisor)
      if (supervisor === idle) idle = forkSupervisor()
    }
  }

  function forkSupervisor(): ForkedSupervisor {
    const mask = blockSignals()
    const pid = forkWithHeap()
    if (pid === 0) awaitOrder()
    restoreSignals(mask)
    return { pid, pidfd: openPidfd(pid) }
  }

  /** The idle supervisor's part. */
  function awaitOrder(): never {
    close(taken)
    for (const { pidfd } of running) close(pidfd)
    const asked = receiveMessage(socket)
    const [stdin, stdout, stderr, channel] =
      asked === undefined || asked === 'again' ? [] : asked.fds
    if (
      stdin === undefined ||
      stdout === undefined ||
      stderr === undefined ||
      channel === undefined
    )
      return exitProcess(0)
    try {
      write(sayTaken, Buffer.alloc(1))
    } catch {
      // The zygote was killed; the order stands.
    }
    close(sayTaken)
    close(socket)
    return superviseByOrder({ stdio: [stdin, stdout, stderr], channel })
  }
}
