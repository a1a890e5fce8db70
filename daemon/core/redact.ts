/** What secrets of ours look like, with what is left of each: enough to tell which one it was. */
const secrets: readonly (readonly [RegExp, string])[] = [
  // Tokens of scopes and page sessions: `hilda.<id>.<secret>`.
  [/\bhilda\.([0-9a-f]{8})\.[\w-]+/g, 'hilda.$1.[hidden]'],
  // Keys of pages and agents, then invitations.
  [/\b((?:browser|agent)[\w-]*)\.[\w-]{32}(?![\w-])/g, '$1.[hidden]'],
  [/\b([0-9a-f]{12})\.[\w-]{24}(?![\w-])/g, '$1.[hidden]'],
  // Secrets of webhooks.
  [/\bwhsec_[\w+/=]+/g, 'whsec_[hidden]'],
  // What a request shows, ours or not.
  [/\b(Bearer|Basic)(\s+)[\w.~+/=-]{8,}/gi, '$1$2[hidden]'],
  [/([?&](?:code|token|key)=)[^&\s"'\\]+/gi, '$1[hidden]'],
  [/\b(hilda_\d+=)[^;\s"'\\]+/g, '$1[hidden]'],
  // The local user's token: 32 bytes as base64url, which no word of a language and no hexadecimal sum is.
  [/(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{43}(?![\w-])/g, '[hidden]'],
];

/** A text without the tokens, keys, codes and cookies in it, as logs hold it. */
export const redacted = (text: string): string =>
  secrets.reduce((left, [pattern, instead]) => left.replace(pattern, instead), text);
