/** What a suite file may say, field by field. */
import { z } from 'zod'
import { parseSpan } from '../time-span.ts'

const isPattern = (text: string): boolean => {
  try {
    return new RegExp(text, 'm') instanceof RegExp
  } catch {
    return false
  }
}

const name = z
  .string()
  // oxlint-disable-next-line no-control-regex -- refusing control characters is the point
  .regex(/^[^\u0000-\u001f\u007f]{1,200}$/, 'takes up to 200 characters on one line')
const word = z.string().min(1, 'must not be empty')
const path = z.string().startsWith('/', 'takes an absolute path')

const command = z.union([word, z.array(z.string()).min(1)], {
  error: 'takes a line for the shell, or a list of program and arguments',
})

const span = z.union(
  [
    z.number().positive(),
    z.string().refine((text) => parseSpan(text) !== undefined, 'is no time span'),
  ],
  { error: 'takes seconds, or a time span such as 30s, 5min or 2h' },
)

const oneOrMore = (text: z.ZodType<string>) =>
  z.union([text, z.array(text)], { error: 'takes a text, or a list of texts' })

const output = z.union(
  [
    z.string(),
    z.strictObject({
      equals: z.string().optional(),
      contains: oneOrMore(z.string()).optional(),
      matches: oneOrMore(z.string().refine(isPattern, 'is no regular expression')).optional(),
    }),
  ],
  { error: 'takes the whole output, or equals, contains and matches (regular expressions)' },
)

const status = z.int('takes a whole number').min(0).max(255)

const expectation = z.strictObject({
  status: z
    .union([status, z.array(status).min(1)], {
      error: 'takes an exit status from 0 to 255, or a list of them',
    })
    .optional(),
  skip: status.min(1).optional(),
  stdout: output.optional(),
  stderr: output.optional(),
})

const variables = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is no name of a variable'),
  z.union([z.string(), z.number(), z.boolean()], { error: 'takes a text' }),
)

const files = z.record(path, word)

/** What defaults and cases have in common. */
const caseFields = {
  user: word.optional(),
  directory: path.optional(),
  environment: variables.optional(),
  network: z.enum(['none', 'host']).optional(),
  container: z.enum(['ephemeral', 'volatile', 'booted']).optional(),
  timeout: span.optional(),
  retries: z.int('takes a whole number').min(0).max(100).optional(),
  collect: oneOrMore(z.string().regex(/^!?\//, 'takes absolute paths with *, ** and ?')).optional(),
  expect: expectation.optional(),
}

const setup = z.array(command)

const image = z.union(
  [
    word,
    z.strictObject({
      image: word,
      label: name.optional(),
      packages: z.array(word).optional(),
      setup: setup.optional(),
    }),
    z.strictObject({
      recipe: word,
      name: word.optional(),
      release: z.union([word, z.number()]).optional(),
      variant: word.optional(),
      include: z.array(word).optional(),
      label: name.optional(),
      packages: z.array(word).optional(),
      setup: setup.optional(),
    }),
  ],
  { error: 'takes the name of an image, or a mapping with image or recipe' },
)

export const suiteSchema = z.strictObject({
  name: name.optional(),
  images: z.array(image).min(1).optional(),
  packages: z.array(word).optional(),
  setup: setup.optional(),
  files: files.optional(),
  defaults: z.strictObject(caseFields).optional(),
  cases: z
    .array(
      z.strictObject({
        ...caseFields,
        name,
        command,
        images: z.array(word).min(1).optional(),
        skip: z.record(word, name).optional(),
        files: files.optional(),
      }),
    )
    .min(1),
})

/** What a suite file says, once it has been checked. */
export type SuiteWords = z.output<typeof suiteSchema>
