/** Rows about what the caller's service manager is told, and who decides when. */
import type { ParityCase } from '../case.ts'
import { outcome, refusal } from './outcomes.ts'

const manager = `parity-manager-${process.pid}`

/** Writes down what a service manager hears, until it hears that the container stops. */
const listener = `
perl -e '
  socket(S, 1, 2, 0) or die; bind(S, pack("S a*", 1, "\\0${manager}")) or die; alarm 30;
  open(O, ">", "$ENV{FILES}/heard") or die; select(O); $| = 1;
  while (defined recv(S, $m, 4096, 0)) { print "$m\\n"; exit if $m =~ /STOPPING/ }
' < /dev/null > /dev/null 2>&1 &
while [ ! -e "$FILES/heard" ]; do sleep 0.02; done
`

/** Tells how often the manager has heard of readiness before the payload says it, and after. */
const speaker = `
  sub heard { local (@ARGV, $/) = "/mnt/heard"; scalar(() = <> =~ /^READY=1$/mg) }
  sub settle { my $n = 40; select(undef, undef, undef, 0.02) while heard() < $_[0] and $n--; heard() }
  sub say { send(S, $_[0], 0, pack("S a*", 1, $ENV{NOTIFY_SOCKET})) or die "$!" }
  print "before: ", settle(1), "\\n";
  socket(S, 1, 2, 0); say("READY=1"); print "after: ", settle(2), "\\n"`

const told = (title: string, args: readonly string[]): ParityCase =>
  outcome(
    '--notify-ready=',
    title,
    ({ files }) => ['-q', '--pipe', `--bind=${files}:/mnt`, ...args],
    ['perl', '-e', speaker],
    { prepare: listener, environment: { NOTIFY_SOCKET: `@${manager}` } },
  )

export const readinessCases: readonly ParityCase[] = [
  told('the service manager hears of readiness as soon as the payload runs', []),
  told('yes: it hears of readiness when process 1 says so', ['--notify-ready=yes']),
  refusal('--notify-ready=', 'no boolean', ['--notify-ready=later'], /--notify-ready=later/),
]
