/** Rows about units, labels, processors and what else a program is started with. */
import type { ParityCase } from '../case.ts'
import { row } from './facts.ts'
import { outcome, refusal } from './outcomes.ts'

const processors = ['grep', 'Cpus_allowed_list', '/proc/self/status']

export const scopeAndLimitCases: readonly ParityCase[] = [
  row('-S, --slice=', 'changes nothing with --keep-unit', ['--pipe', '--slice=a/b c']),
  refusal('-S, --slice=', 'no name', ['--slice='], /--slice=/),
  row('--property=', 'changes nothing with --keep-unit', ['--pipe', '--property=MemoryMax=1G']),
  refusal('--register=', 'no mode', ['--register=sometimes'], /--register=sometimes/),
  refusal('--keep-unit', 'with a value', ['--keep-unit=yes'], /--keep-unit/),
  outcome('--no-pager', 'changes nothing', ['--no-pager', '--quiet'], ['echo', 'x']),
  // Not a label for any policy, so refused with SELinux as well.
  // It is found out late by the real one, which has made directories for journals by then.
  refusal(
    '-Z, --selinux-context=',
    'no label',
    ['--link-journal=no', '-Z', 'no-label'],
    /--selinux-context=no-label/,
  ),
  refusal(
    '-L, --selinux-apifs-context=',
    'no label',
    ['--selinux-apifs-context=no-label'],
    /--selinux-apifs-context=no-label/,
  ),
  refusal('--oom-score-adjust=', 'too high', ['--oom-score-adjust=1001'], /adjust=1001/),
  refusal('--oom-score-adjust=', 'nothing', ['--oom-score-adjust='], /--oom-score-adjust=/),
  refusal('--cpu-affinity=', 'no processor', ['--cpu-affinity=a'], /--cpu-affinity=a/),
  refusal(
    '--cpu-affinity=',
    'only processors that are not there',
    ['--cpu-affinity=8000'],
    /--cpu-affinity=8000/,
  ),
  outcome(
    '--cpu-affinity=',
    'processors that are not there are passed over',
    ['-q', '--pipe', '--cpu-affinity=0,8000'],
    processors,
  ),
  outcome(
    '--cpu-affinity=',
    'nothing takes it back',
    ['-q', '--pipe', '--cpu-affinity=0', '--cpu-affinity='],
    processors,
  ),
  refusal('--personality=', 'no architecture', ['--personality=vax'], /--personality=vax/),
  refusal('--personality=', 'that of another machine', ['--personality=s390x'], /s390x/),
  refusal('--ambient-capability=', 'all', ['--ambient-capability=all'], /capability=all/),
  refusal('--ambient-capability=', 'no capability', ['--ambient-capability=CAP_FLY'], /CAP_FLY/),
]
