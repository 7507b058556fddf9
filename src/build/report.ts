/** Builds as a page one can look at: what took how long, what failed, and where its log is. Pure. */
import type { BuildRecord, StepRecord } from './record.ts'

export interface ReportedBuild {
  readonly name: string
  readonly version?: string | undefined
  /** Absent where it was not tried, or killed. */
  readonly record?: BuildRecord | undefined
  /** What is said in place of a result where there is no record. */
  readonly instead?: string | undefined
  /** Relative link to the log. */
  readonly log?: string | undefined
  /** Relative link to the directory that the logs of steps are named from. */
  readonly steps?: string | undefined
}

/**
 * Makes the page: one file, without scripts, with nothing that is fetched.
 *
 * @param builds in the order in which they are shown
 */
export function reportPage(builds: readonly ReportedBuild[]): string {
  const records = builds.flatMap(({ record }) => record ?? [])
  const starts = records.map(({ started }) => Date.parse(started))
  const from = Math.min(...starts)
  const to = Math.max(...records.map(({ seconds }, index) => (starts[index] ?? 0) + seconds * 1000))
  const scale = { fromMs: from, lengthMs: Math.max(1, to - from) }
  const good = records.filter(({ result }) => result === 'succeeded').length
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${good} of ${builds.length} builds succeeded</title>
<style>${style}</style>
<h1>${good} of ${builds.length} builds succeeded</h1>
<p class="legend">${phases.map((phase) => `<span class="key ${phase}"></span>${phase}`).join(' ')}</p>
<table>
<thead><tr><th>Build</th><th>Result</th><th class="wide">Time</th><th></th><th>Log</th></tr></thead>
<tbody>
${builds.map((build, index) => overviewRow(build, index, scale)).join('\n')}
</tbody>
</table>
${builds.map((build, index) => details(build, index)).join('\n')}
</html>
`
}

const phases = ['fetch', 'dependencies', 'unpack', 'build', 'collect', 'inspect'] as const

interface Scale {
  readonly fromMs: number
  readonly lengthMs: number
}

function overviewRow(build: ReportedBuild, index: number, scale: Scale): string {
  const { record, log, instead = '' } = build
  const name = `<a href="#build-${index}">${escape(title(build))}</a>`
  const link = log === undefined ? '' : anchor(log, 'log')
  if (record === undefined)
    return `<tr><td>${name}</td><td class="none">${escape(instead)}</td><td></td><td></td><td>${link}</td></tr>`
  const offset = (Date.parse(record.started) - scale.fromMs) / 1000
  const bars = record.phases
    .map(({ phase, atSeconds, seconds }) => {
      const place = { at: offset + atSeconds, seconds, of: scale.lengthMs / 1000 }
      return bar(phase, place, `${phase}: ${time(seconds)}`)
    })
    .join('')
  return `<tr><td>${name}</td><td class="${record.result}">${record.result}</td><td class="bars">${bars}</td><td class="number">${time(record.seconds)}</td><td>${link}</td></tr>`
}

function details(build: ReportedBuild, index: number): string {
  const { record } = build
  if (record === undefined) return `<h2 id="build-${index}">${escape(title(build))}</h2>`
  const { driver, base, layers = [], failure, outputs } = record
  const kept = (layers as readonly { kind?: unknown; origin?: unknown }[])
    .map(({ kind, origin }) => `${String(kind)} ${String(origin)}`)
    .join(', ')
  const facts = [
    `${driver}${base === undefined ? '' : ` in ${base.path}`}`,
    `begun ${record.started}`,
    ...(kept === '' ? [] : [`layers: ${kept}`]),
  ]
  return `<h2 id="build-${index}">${escape(title(build))}</h2>
<p>${facts.map(escape).join(' · ')}</p>
${failure === undefined ? '' : `<pre class="failure">${escape(failure.message)}</pre>\n`}<table>
<thead><tr><th>Step</th><th>As</th><th>Network</th><th>Status</th><th class="wide">Time</th><th></th><th>Processor</th><th>Memory</th><th>Log</th></tr></thead>
<tbody>
${record.steps.map((step) => stepRow(step, record, build.steps)).join('\n')}
</tbody>
</table>
${outputs.length === 0 ? '' : `<ul>${outputs.map(({ name, sha256 }) => `<li>${escape(name)} <code>${escape(sha256)}</code></li>`).join('')}</ul>`}`
}

function stepRow(step: StepRecord, record: BuildRecord, base: string | undefined): string {
  const { id, title: words, user, network, status, atSeconds, seconds, usage, log } = step
  const phase = record.phases.findLast((one) => one.atSeconds <= atSeconds)?.phase ?? ''
  const place = { at: atSeconds, seconds, of: record.seconds }
  const cells = [
    `<td title="${escape(step.command.join(' '))}">${escape(id)}: ${escape(words)}</td>`,
    `<td>${escape(user)}</td><td>${network}</td>`,
    `<td class="${status === 0 ? '' : 'failed'}">${status ?? 'ended'}</td>`,
    `<td class="bars">${bar(phase, place, escape(words))}</td><td class="number">${time(seconds)}</td>`,
    usage === undefined
      ? '<td></td><td></td>'
      : `<td class="number">${time(usage.userSeconds + usage.systemSeconds)}</td><td class="number">${Math.round(usage.largestProcessBytes / 1024 ** 2)} MiB</td>`,
    `<td>${base === undefined ? '' : anchor(`${base}${log.name}`, 'log')}</td>`,
  ]
  return `<tr>${cells.join('')}</tr>`
}

/** @param place in seconds, of a whole that begins at 0 */
function bar(
  phase: string,
  { at, seconds, of }: { readonly at: number; readonly seconds: number; readonly of: number },
  words: string,
): string {
  const percent = (part: number) => ((100 * part) / Math.max(of, 0.001)).toFixed(2)
  const known = phases.find((one) => one === phase) ?? ''
  return `<span class="bar ${known}" style="left:${percent(at)}%;width:${percent(seconds)}%" title="${words}"></span>`
}

function anchor(href: string, words: string): string {
  return `<a href="${href.split('/').map(encodeURIComponent).join('/')}">${words}</a>`
}

function title({ name, version }: ReportedBuild): string {
  return version === undefined ? name : `${name} ${version}`
}

function time(seconds: number): string {
  return seconds < 90 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} min`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Names, messages and logs come from those who wrote the source. */
function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (one) => entities[one] ?? '')
}

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #8884 }
.number { text-align: right; white-space: nowrap } .wide { width: 40% }
.bars { position: relative } .bar { position: absolute; top: 25%; height: 50%; min-width: 2px; border-radius: 2px; background: #888 }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; border-radius: 2px }
.fetch { background: #4c8dae } .dependencies { background: #d9a441 } .unpack { background: #8f7fc0 }
.build { background: #4fa36a } .collect { background: #b56b87 } .inspect { background: #7d8a99 }
.succeeded { color: #2c8a4b } .failed, .canceled { color: #c0392b } .none { color: #888 }
.failure { border-left: 3px solid #c0392b; padding: .5rem 1rem; overflow-x: auto }
code { font-size: .8em; color: #888 }
`
