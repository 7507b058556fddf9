/** One page to look at: a table of cases and images, times as bars, and the output of what has failed. */
import type { CaseResult, ImageResult, SuiteReport } from '../suite.ts'
import { escapeMarkup as text } from './markup.ts'

const style = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #1b1b1b; background: #fff }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .25em .7em; text-align: left; border-bottom: 1px solid #ddd }
td.passed { background: #dff3e0 } td.failed, td.error { background: #fadcd9 } td.skipped { background: #eee; color: #555 }
a { color: inherit } pre { background: #f5f5f5; padding: .7em; overflow-x: auto; white-space: pre-wrap }
.row { display: flex; align-items: center; font-size: 13px } .row span { flex: 0 0 22em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.track { flex: 1; position: relative; height: 1em } .bar { position: absolute; height: .8em; min-width: 2px; background: #6aa86e }
.bar.failed, .bar.error { background: #cf5b50 } .bar.setup { background: #88a } .bar.skipped { background: #bbb }
@media (prefers-color-scheme: dark) { body { background: #191919; color: #ddd } pre { background: #262626 } th, td { border-color: #444 }
td.passed { background: #1f3d22 } td.failed, td.error { background: #4d2320 } td.skipped { background: #303030; color: #aaa } }
`

export function htmlReport(report: SuiteReport): string {
  const { counts, seconds, started, result, tool } = report
  const suites = [...new Set(report.cases.map(({ suite }) => suite))]
  const told = report.cases.filter(({ status }) => status === 'failed' || status === 'error')
  const title = `Tests: ${result}`
  return [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><title>${text(title)}</title>`,
    `<style>${style}</style></head><body>`,
    `<h1>${text(title)}</h1>`,
    `<p>${counts.passed} passed, ${counts.failed} failed, ${counts.error} could not be run, ${counts.skipped} skipped, in ${seconds.toFixed(1)} s; begun ${text(started)}, by ${text(tool.name)} ${text(tool.version)}</p>`,
    ...suites.map((suite) => matrix(suite, report)),
    '<h2>Times</h2>',
    ...times(report),
    ...(told.length === 0 ? [] : ['<h2>What went wrong</h2>', ...told.map(story)]),
    '</body></html>',
    '',
  ].join('\n')
}

function matrix(suite: string, { cases }: SuiteReport): string {
  const mine = cases.filter((one) => one.suite === suite)
  const images = [...new Set(mine.map(({ image }) => image))]
  const names = [...new Set(mine.map(({ name }) => name))]
  const head = images.map((image) => `<th>${text(image)}</th>`).join('')
  const rows = names.map((name) => {
    const cells = images.map((image) =>
      cell(mine.find((one) => one.name === name && one.image === image)),
    )
    return `<tr><th>${text(name)}</th>${cells.join('')}</tr>`
  })
  return `<h2>${text(suite)}</h2>\n<table><tr><th></th>${head}</tr>\n${rows.join('\n')}</table>`
}

function cell(one: CaseResult | undefined): string {
  if (one === undefined) return '<td></td>'
  const { status, seconds, reason = '', attempts } = one
  const words = status === 'skipped' ? 'skipped' : `${status}, ${seconds.toFixed(1)} s`
  const again = attempts > 1 ? `, ${attempts} attempts` : ''
  const wrong = status === 'failed' || status === 'error'
  const shown = wrong ? `<a href="#${anchor(one)}">${words}${again}</a>` : words + again
  return `<td class="${status}" title="${text(reason)}">${shown}</td>`
}

function times({ cases, images, seconds }: SuiteReport): readonly string[] {
  const setups = images
    .filter(({ setupSeconds }) => setupSeconds > 0)
    .map((one: ImageResult) => ({
      label: `${one.label}: made ready`,
      kind: 'setup',
      began: one.startedSeconds,
      took: one.setupSeconds,
    }))
  const runs = cases
    .filter(({ attempts }) => attempts > 0)
    .map((one) => ({
      label: `${one.image}: ${one.name}`,
      kind: one.status as string,
      began: one.startedSeconds,
      took: one.seconds,
    }))
  const percent = (part: number) => ((100 * part) / Math.max(seconds, 0.001)).toFixed(2)
  return [...setups, ...runs]
    .toSorted((a, b) => a.began - b.began)
    .map(
      ({ label, kind, began, took }) =>
        `<div class="row"><span title="${text(label)}">${text(label)}</span><div class="track"><div class="bar ${kind}" style="left:${percent(began)}%;width:${percent(took)}%" title="${took.toFixed(2)} s"></div></div></div>`,
    )
}

function story(one: CaseResult): string {
  const { image, name, reason = '', stdout, stderr, log } = one
  const outputs = [
    ['standard output', stdout],
    ['standard error', stderr],
  ].filter(([, said]) => said !== '')
  return [
    `<h3 id="${anchor(one)}">${text(`${image}: ${name}`)}</h3>`,
    `<pre>${text(reason)}</pre>`,
    ...outputs.map(([title, said]) => `<p>${title}</p><pre>${text(lastPart(said!))}</pre>`),
    ...(log === undefined ? [] : [`<p>log: <code>${text(log)}</code></p>`]),
  ].join('\n')
}

const shownCharacters = 20_000

const lastPart = (said: string): string =>
  said.length > shownCharacters ? `…${said.slice(-shownCharacters)}` : said

/** Unique in the page, and free of what an attribute cannot have. */
function anchor({ suite, image, name }: CaseResult): string {
  return encodeURIComponent(`${suite}/${image}/${name}`)
}
