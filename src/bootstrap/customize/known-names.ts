/** Slips in names that this host knows too, told before a tree is made for them. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { usageError } from '../../errors.ts'
import { nearest } from '../../settings/nearest.ts'
import type { Customization } from './customization.ts'
import { isBuiltIn, normalizedLocale } from './locale-name.ts'

/** Where this host has its tables. */
export interface NameTables {
  /** Compiled zones, by their names; tzfile(5). */
  readonly zones: string
  /** What glibc has locales for, each with its character set. */
  readonly locales: string
}

const hostTables: NameTables = {
  zones: '/usr/share/zoneinfo',
  locales: '/usr/share/i18n/SUPPORTED',
}

/**
 * Refuses a time zone that neither this host nor Node.js knows, and a locale that glibc has not, as far as its list is
 * here; without it a language or country that there is not.
 *
 * @throws NspawnError `USAGE`, with what was probably meant
 */
export function checkNames(
  { timezone, locale }: Pick<Customization, 'timezone' | 'locale'>,
  tables: NameTables = hostTables,
): void {
  if (timezone !== undefined) checkZone(timezone, tables.zones)
  if (locale !== undefined && !isBuiltIn(locale)) checkLocale(locale, tables.locales)
}

function checkZone(zone: string, directory: string): void {
  if (
    zone === 'UTC' ||
    statSync(join(directory, zone), { throwIfNoEntry: false })?.isFile() === true
  )
    return
  const names = Intl.supportedValuesOf('timeZone')
  if (isZoneOfNode(zone, names)) return
  throw usageError(
    `--timezone=${zone}: there is no time zone called ${zone}`,
    suggestion(zone, names) ?? 'it is an area and a city, as in Europe/Berlin',
  )
}

/** Node takes names in any letters, files of zones do not. */
function isZoneOfNode(zone: string, names: readonly string[]): boolean {
  if (names.includes(zone)) return true
  try {
    const known = new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone
    const slip = known.toLowerCase() === zone.toLowerCase() && known !== zone
    return !slip && /[A-Z]/.test(zone)
  } catch {
    return false
  }
}

function checkLocale(locale: string, list: string): void {
  const wrong = (hint: string) =>
    usageError(`--locale=${locale}: there is no locale called ${locale}`, hint)
  const example = 'it is a language, a country and a character set, as in de_DE.UTF-8'
  if (existsSync(list)) {
    const names = readFileSync(list, 'utf8')
      .split('\n')
      .map((line) => line.split(/[\s/]/)[0]!)
      .filter((name) => name !== '' && !name.startsWith('#'))
    const wanted = normalizedLocale(locale)
    if (names.some((name) => normalizedLocale(name) === wanted)) return
    throw wrong(suggestion(locale, names) ?? example)
  }
  const [, language = '', country] = /^([A-Za-z]+)(?:_([A-Za-z]+))?/.exec(locale) ?? []
  if (!isKnown('language', language)) throw wrong(example)
  if (country !== undefined && !isKnown('region', country)) throw wrong(example)
}

/** Whether Unicode's tables have a name for it. */
function isKnown(type: 'language' | 'region', code: string): boolean {
  try {
    return new Intl.DisplayNames('en', { type, fallback: 'none' }).of(code) !== undefined
  } catch {
    return false
  }
}

function suggestion(said: string, names: readonly string[]): string | undefined {
  const meant = nearest(said, names)
  return meant === undefined ? undefined : `perhaps ${meant} was meant`
}
