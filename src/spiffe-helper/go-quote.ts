// A text in quotes as Go's %q writes it.

/** Escaped is all but letters, marks, numbers, punctuation, symbols and the space. */
export const goQuote = (text: string): string => `"${text.toWellFormed().replaceAll(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, escaped)}"`

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0
  const letter = /["\\]/.test(character) ? character : 'abtnvfr'[code - 7]
  if (letter !== undefined) return `\\${letter}`
  const [kind, digits] = code < 0x80 ? (['x', 2] as const) : code < 0x10000 ? (['u', 4] as const) : (['U', 8] as const)
  return `\\${kind}${code.toString(16).padStart(digits, '0')}`
}
