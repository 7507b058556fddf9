/** Passwords of URLs, wherever they stand in what people may see: messages, logs, records. */

/** The text with no user name and password in the URLs that it has. */
export function withoutPasswords(text: string): string {
  // What stands before the last @ of a URL's server, as parsers take it, and some of what they would refuse.
  return text.replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#"'<>]*@/gi, '$1')
}
