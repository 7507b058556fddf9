import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { readinessFor } from '../../../src/runtime/signal-readiness.ts'

const { SIGUSR1, SIGUSR2 } = constants.signals
const RTMIN3 = 37
const block = 'my $set = POSIX::SigSet->new; sigprocmask(SIG_BLOCK, $set)'

test.each([
  ['handles', '$SIG{USR1} = sub {}', ['ready', 'not yet', 'not yet']],
  ['blocks', block.replace('new', `new(${RTMIN3})`), ['not yet', 'not yet', 'ready']],
  ['blocks with all others', block.replace(';', '; $set->fillset;'), Array(3).fill('unclear')],
])('of a process that %s signals', async (_how, setUp, readiness) => {
  const script = `${setUp}; $| = 1; print "up\\n"; sleep 60`
  const child = spawn('perl', ['-MPOSIX', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(child.stdout, 'data')
    const pid = child.pid as number
    expect([SIGUSR1, SIGUSR2, RTMIN3].map((signal) => readinessFor(signal, pid))).toEqual(readiness)
  } finally {
    child.kill('SIGKILL')
  }
})
