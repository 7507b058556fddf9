/** Text in XML and HTML. What tests print is hostile: it may be anything. */

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
}

/**
 * Text that stands for itself in elements and in attributes with double quotes.
 *
 * @see https://www.w3.org/TR/xml/#charsets: other characters make a document ill-formed, even as references
 */
export function escapeMarkup(text: string): string {
  return (
    text
      .replaceAll(/[&<>"]/g, (one) => entities[one]!)
      // oxlint-disable-next-line no-control-regex -- these are what XML cannot have
      .replaceAll(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
  )
}

/** The same in an attribute, where line ends would become blanks. */
export function escapeAttribute(text: string): string {
  return escapeMarkup(text)
    .replaceAll('\n', '&#10;')
    .replaceAll('\r', '&#13;')
    .replaceAll('\t', '&#9;')
}
