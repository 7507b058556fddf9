/** The language of a tree, made by its own tools where its packages do not bring it. */
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { TreeFiles } from '../tree-files.ts'
import { customizationFailed } from './failure.ts'
import { isBuiltIn, normalizedLocale } from './locale-name.ts'

/** @see locale.conf(5), locale-gen(8) */
export async function setLocale(
  tree: TreeInMaking,
  files: TreeFiles,
  locale: string,
): Promise<void> {
  if (!isBuiltIn(locale) && !(await hasLocale(tree, files, locale)))
    await generate(tree, files, locale)
  const text = `LANG=${locale}\n`
  files.write('/etc/locale.conf', text)
  // Debian's own place, read by PAM.
  if (files.stat('/etc/default/locale') !== undefined) files.write('/etc/default/locale', text)
}

async function hasLocale(tree: TreeInMaking, files: TreeFiles, locale: string): Promise<boolean> {
  const wanted = normalizedLocale(locale)
  // Where each has a directory, no program has to be asked.
  if (files.list('/usr/lib/locale').some((name) => normalizedLocale(name) === wanted)) return true
  if (files.stat('/usr/bin/locale') === undefined) return false
  const there = new Set<string>()
  const onLine = (line: string) => there.add(normalizedLocale(line.trim()))
  await runInTree(tree, ['locale', '-a'], { network: 'none', onLine })
  return there.has(wanted)
}

async function generate(tree: TreeInMaking, files: TreeFiles, locale: string): Promise<void> {
  if (
    files.stat('/usr/sbin/locale-gen') === undefined &&
    files.stat('/usr/bin/locale-gen') === undefined
  ) {
    throw customizationFailed(
      `the tree has no locale ${locale}, and no locale-gen to make it`,
      'name the package that brings it with --include: locales, glibc-langpack-de, glibc-locale',
    )
  }
  const supported = files.read('/usr/share/i18n/SUPPORTED')?.split('\n') ?? []
  const line =
    supported.find(
      (one) => normalizedLocale(one.split(/[\s/]/)[0]!) === normalizedLocale(locale),
    ) ?? (supported.length === 0 ? `${locale} ${locale.split('.')[1] ?? 'ISO-8859-1'}` : undefined)
  if (line === undefined) {
    throw customizationFailed(
      `the tree knows no locale called ${locale}`,
      'its /usr/share/i18n/SUPPORTED has all of them, as in de_DE.UTF-8',
    )
  }
  const words = line.trim().split(/\s+/)
  const kept = (files.read('/etc/locale.gen') ?? '').replace(/\n*$/, '\n').trimStart()
  const wanted = words.join(' ')
  if (!kept.split('\n').some((one) => one.trim().split(/\s+/).join(' ') === wanted))
    files.write('/etc/locale.gen', `${kept}${wanted}\n`)
  const { status } = await runInTree(tree, ['locale-gen'], { network: 'none' })
  if (status === 0 && (await hasLocale(tree, files, locale))) return
  throw customizationFailed(`cannot make the locale ${locale}`, undefined, tree)
}
