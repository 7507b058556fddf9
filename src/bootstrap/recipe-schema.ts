/** What a recipe of a user's may say, checked field by field: everything that recipes of its family say. */
import { z } from 'zod'
import type { Family } from '../recipe.ts'

const words = z.array(z.string())

const customize = z
  .strictObject({
    hostname: z.string(),
    locale: z.string(),
    timezone: z.string(),
    keymap: z.string(),
    rootPassword: z.string(),
    users: words,
    sshKeys: words,
    autologin: z.string(),
    network: z.enum(['host0', 'none']),
    copyIn: words,
    hooks: words,
    hookNetwork: z.enum(['host', 'none']),
  })
  .partial()

const packageSet = z.strictObject({ variant: z.string().optional(), include: words })

const release = z.strictObject({
  name: z.string().min(1),
  version: z.string().optional(),
  versionMatch: z.literal('major').optional(),
  aliases: words.optional(),
})

const mirrors = z.strictObject({ main: z.url(), security: z.url().optional() })

const keys = z.array(z.strictObject({ file: z.string(), user: z.string().optional() })).min(1)

const database = z.strictObject({
  path: z.string().startsWith('/'),
  format: z.enum(['sqlite', 'ndb', 'bdb']),
})

const common = {
  extends: z.string(),
  id: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'takes small letters, digits and dashes'),
  title: z.string().min(1).optional(),
  defaultRelease: z.string().optional(),
  packageSets: z
    .strictObject({ minimal: packageSet, build: packageSet, boot: packageSet })
    .partial()
    .optional(),
  customize: customize.optional(),
  localePackage: z.string().optional(),
  osRelease: z.strictObject({ id: z.string(), buildId: z.string().optional() }).optional(),
}

/** By the family of the recipe that is extended. */
export const recipeSchemas = {
  apt: z.strictObject({
    ...common,
    releases: z
      .array(
        release.extend({
          osCodename: z.string().optional(),
          extraSuites: z
            .array(z.strictObject({ suite: z.string(), mirror: z.enum(['main', 'security']) }))
            .optional(),
          sourcesFormat: z.enum(['deb822', 'one-line']).optional(),
        }),
      )
      .min(1)
      .optional(),
    mirrors: mirrors.optional(),
    components: words.min(1).optional(),
    keyring: z
      .strictObject({ path: z.string().startsWith('/'), hostPackage: z.string() })
      .optional(),
  }),
  pacman: z.strictObject({
    ...common,
    releases: z.array(release).min(1).optional(),
    mirrors: z.record(z.string(), z.url()).optional(),
    layout: z.string().optional(),
    repositories: words.min(1).optional(),
    keyring: z.strictObject({ name: z.string(), package: z.string() }).optional(),
  }),
  rpm: z.strictObject({
    ...common,
    releases: z
      .array(release.extend({ keys: keys.optional(), database: database.optional() }))
      .min(1)
      .optional(),
    repositories: z
      .array(
        z.strictObject({
          id: z.string(),
          title: z.string(),
          source: z.strictObject({
            kind: z.enum(['metalink', 'mirrorlist', 'baseurl']),
            url: z.url(),
          }),
          path: z.string(),
          role: z.enum(['base', 'updates']),
          releases: words.optional(),
          sets: z.array(z.enum(['minimal', 'build', 'boot'])).optional(),
        }),
      )
      .min(1)
      .optional(),
    metadataSigned: z.boolean().optional(),
    keys: keys.optional(),
    database: database.optional(),
    modulePlatform: z.string().optional(),
  }),
} as const satisfies Readonly<Record<Family, z.ZodType>>

/** What a user's recipe says, for those that are written in TypeScript. */
export type OwnRecipe = { [F in Family]: z.input<(typeof recipeSchemas)[F]> }[Family]
